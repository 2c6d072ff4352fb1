"""Kernels called once each on small inputs, results not looked at: what tools/memcheck.py runs.

A seeded sample of the kernel cases and of the convolution problems; prints how many ran.
"""

import random

import numpy as np

from fastconv.backend import cpu
from fastconv.backend.problem import Conv2dProblem
from tests.conv_cases import conv_problems
from tests.native.conv2d_case import DIRECTIONS, run, shapes
from tests.native.kernel_cases import CASES


def fresh(value):
    """The same integers. int("0") of CPython 3.11 reads a digit that it never wrote, so valgrind
    takes every 0 that was read from a file for uninitialised; a sum is a new integer."""
    return tuple(map(fresh, value)) if isinstance(value, tuple) else value + 0


def main():
    cpu.set_num_threads(2)
    draw = random.Random(1)
    rng = np.random.default_rng(1)
    for name in draw.sample(sorted(CASES), 60):
        CASES[name].run(cpu, draw.choice([np.float32, np.float64]), n=1)
    problems = [
        Conv2dProblem(**{name: fresh(value) for name, value in row.items()})
        for row in conv_problems("sample", 60)
    ]
    for p in problems:
        dtype = np.dtype(draw.choice(["f4", "f8"]))
        for direction in DIRECTIONS:
            a, b = (rng.integers(-3, 4, s).astype(dtype) for s in shapes(p, direction)[:2])
            for algorithm in cpu.conv2d_algorithms(p, direction, dtype):
                run(cpu, p, direction, algorithm, a, b)
    print(f"{cpu.isa()}: 60 kernel cases, {len(problems)} convolutions")


if __name__ == "__main__":
    main()
