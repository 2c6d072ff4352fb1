"""Sizes that fill neither vectors nor tiles, beside the even size next to them.

    python benchmarks/tails.py

No cliff: an odd size should run at half the rate of its even neighbour at least.
"""

import argparse
from collections import Counter

import numpy as np

from fastconv.bench.layers import measure_layers
from fastconv.core import Spec
from fastconv.ops.conv2d import conv2d_problem

# (height, width, channels, filters, window, stride, groups), even and odd
PAIRS = [
    ((28, 28, 64, 64, 3, 1, 1), (28, 28, 63, 64, 3, 1, 1)),
    ((28, 28, 64, 64, 3, 1, 1), (28, 28, 64, 65, 3, 1, 1)),
    ((28, 28, 64, 64, 3, 1, 1), (29, 29, 64, 64, 3, 1, 1)),
    ((28, 28, 64, 64, 3, 1, 1), (27, 27, 65, 65, 3, 1, 1)),
    ((14, 14, 256, 256, 1, 1, 1), (14, 14, 255, 257, 1, 1, 1)),
    ((14, 14, 256, 256, 1, 1, 1), (13, 15, 256, 256, 1, 1, 1)),
    ((28, 28, 192, 192, 3, 1, 192), (27, 29, 193, 193, 3, 1, 193)),
    ((28, 28, 192, 192, 3, 2, 192), (29, 29, 193, 193, 3, 2, 193)),
    ((28, 28, 128, 128, 3, 1, 32), (29, 27, 128, 128, 3, 1, 32)),
    ((112, 112, 3, 32, 3, 2, 1), (111, 113, 3, 33, 3, 2, 1)),
    ((7, 7, 512, 512, 3, 1, 1), (7, 7, 511, 513, 3, 1, 1)),
]


def problem_of(height, width, channels, filters, window, stride, groups, batch=8):
    x = Spec((batch, height, width, channels), np.dtype("float32"))
    w = Spec((filters, window, window, channels // groups), x.dtype)
    pad = (window // 2,) * 4
    return conv2d_problem("tails", x, w, (stride, stride), pad, (1, 1), groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'even':34}{'odd':34}{'pass':7}odd / even")
    lowest = 1.0
    for pair in PAIRS:
        layers = {problem_of(*sizes): Counter() for sizes in pair}
        results = list(measure_layers(layers, arguments.repeats))
        half = len(results) // 2
        for even, odd in zip(results[:half], results[half:], strict=True):
            ratio = odd.rate("fastconv") / even.rate("fastconv")
            lowest = min(lowest, ratio)
            print(f"{pair[0]!s:34}{pair[1]!s:34}{even.direction:7}{ratio:.2f}", flush=True)
    print(f"lowest {lowest:.2f}")


if __name__ == "__main__":
    main()
