"""Calls of the kernel table, each on one set of inputs, for any backend, dtype and batch size.

A case takes (K, draw, n): the backend, a source of inputs, the batch size; it returns the arrays
that the kernel wrote. Inputs depend on the case's name alone, and their values are float32 numbers
in every dtype, so that float64 results are the truth for float32.
"""

import zlib
from typing import NamedTuple

import numpy as np

from fastconv.backend.activation import ACTIVATIONS, Activation

__all__ = ["ACTS", "CASES", "Case", "Draw", "case"]

CONSTANTS = {"leaky_relu": (0.25,), "elu": (1.5,), "scaled_tanh": (1.7159, 0.6667)}
ACTS = {name: Activation(name, *CONSTANTS.get(name, ())) for name in ACTIVATIONS}


class Draw:
    """Inputs of one call. integers: whole numbers of -3 .. 3, else normal values times `spread`."""

    def __init__(self, name, dtype, integers):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.dtype, self.integers = np.dtype(dtype), integers

    def array(self, *shape, spread=1.0):
        if self.integers:
            return np.asarray(self.rng.integers(-3, 4, shape), self.dtype)
        values = np.asarray(spread * self.rng.standard_normal(shape), np.float32)
        return values.astype(self.dtype)

    def positive(self, *shape):
        """0.5, 1 or 2 for integers, else 0.5 .. 2."""
        if self.integers:
            return 2.0 ** self.rng.integers(-1, 2, shape).astype(self.dtype)
        return self.rng.uniform(0.5, 2, shape).astype(np.float32).astype(self.dtype)

    def labels(self, rows, classes):
        return self.rng.integers(0, classes, rows)

    def out(self, *shape, dtype=None):
        """An output, filled so that a value that no kernel wrote is seen."""
        return np.full(shape, 77, dtype or self.dtype)


class Case(NamedTuple):
    """error: |y - y64| <= error * eps * max|y64| on random inputs; 2 to 4 times the largest error
    seen, which the roundings of the formula and the length of its sums explain. exact: integer
    inputs give the reference's bits."""

    name: str
    call: object
    error: float
    exact: bool
    functions: tuple[str, ...]

    def run(self, K, dtype, integers=False, n=3):
        with np.errstate(all="ignore"):
            return self.call(K, Draw(self.name, dtype, integers), n)


CASES: dict[str, Case] = {}


def case(name, functions, error, exact=False):
    def register(call):
        assert name not in CASES, name
        CASES[name] = Case(name, call, error, exact, tuple(functions.split()))
        return call

    return register
