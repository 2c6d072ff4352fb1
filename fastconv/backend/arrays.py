"""Which array library an array belongs to. CuPy is not imported here: the caller did."""

import sys

import numpy

__all__ = ["array_module"]


def array_module(a):
    """numpy for a numpy.ndarray or scalar, cupy for a cupy.ndarray; TypeError for anything else."""
    if isinstance(a, numpy.ndarray | numpy.generic):
        return numpy
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(a, cupy.ndarray):
        return cupy
    raise TypeError(f"array_module: expected a numpy or cupy array, came {type(a).__name__}")
