"""What one kernel of benchmarks/kernels.py is measured on; the shapes are those of the networks."""

from collections.abc import Callable
from typing import NamedTuple

from fastconv.backend import Activation

RELU = Activation("relu")
BATCH = 8

LARGE, STEM = (BATCH, 56, 56, 256), (BATCH, 112, 112, 64)
SMALL, LAST = (BATCH, 14, 14, 1024), (BATCH, 7, 7, 2048)
MAPS = (LARGE, STEM, SMALL, LAST)


class Kernel(NamedTuple):
    """arrays: (rng, shape) -> name -> shape of a float32 array, an array, or a list of arrays.
    traffic: their names, once for each time that the formula reads or writes them."""

    shapes: tuple
    arrays: Callable
    traffic: str
    run: Callable
    prepare: Callable = lambda K, a: None


KERNELS: dict[str, Kernel] = {}


def maps(*names):
    """Arrays of the kernel's shape."""
    return lambda rng, shape: dict.fromkeys(names, shape)
