"""How fast the emulator of CUDA kernels is: a matrix product of 256 x 256 x 256 through shared
memory, 1,200 small launches; processor time. python benchmarks/emulator.py [--repeats 5]
"""

import argparse
import sys
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.emulator import library

LAUNCHES = 1200


def measured(repeats, name, *numbers, **arrays):
    times = []
    for _ in range(repeats):
        begin = process_time()
        library.call(name, *numbers, **arrays)
        times.append(process_time() - begin)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    a, b = np.random.default_rng(0).standard_normal((2, 256, 256), np.float32)
    x = a.reshape(-1)[:1000]
    c, y = np.empty_like(a), np.empty_like(x)
    product = {"a": library.given(a), "b": library.given(b), "c": library.out(c)}
    small = {"x": library.given(x), "y": library.out(y)}
    rows = [
        ("gemm 256^3, loads and stores", {}, "gemm", (256, 256, 256), product),
        ("gemm 256^3, cp.async", {}, "gemm_async", (256, 256, 256), product),
        ("gemm 256^3, counted", {"count": True}, "gemm", (256, 256, 256), product),
        (f"{LAUNCHES} launches, 1000 elements", {}, "twice", (1000, LAUNCHES), small),
    ]
    for title, options, name, numbers, arrays in rows:
        library.set_options(**options)
        library.call(name, *numbers, **arrays)
        times = [1e3 * t for t in measured(repeats, name, *numbers, **arrays)]
        print(f"{title:<32} {median(times):9.1f} ms  ({min(times):.1f} to {max(times):.1f})")
        library.set_options()
    np.testing.assert_allclose(c, a @ b, atol=1e-3)


if __name__ == "__main__":
    main()
