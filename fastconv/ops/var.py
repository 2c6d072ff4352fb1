"""Variance over axes.

    y = sum (x - mean)^2 / (m - ddof)        gx = gy * 2 (x - mean) / (m - ddof)

m is the number of elements that one y is made of. Two passes: the mean first.
"""

from math import prod

import numpy as np

from fastconv.backend import array_module
from fastconv.core import function
from fastconv.errors import ArgumentError
from fastconv.ops.arguments import float_dtype
from fastconv.ops.reductions import Reduce


class Var(Reduce):
    autocast = "float32"

    ddof: int = 0

    def dtype(self, name, x):
        if not isinstance(self.ddof, int) or not 0 <= self.ddof < max(self.count, 1):
            raise ArgumentError(
                f"var: ddof must be an int from 0 to below the {self.count} elements averaged,"
                f" got {self.ddof!r}"
            )
        return float_dtype(name, x=x)

    def infer(self, x):
        specs = super().infer(x)
        self.centred_bytes = prod(x.shape) * max(x.dtype.itemsize, 4)
        return specs

    def workspace(self, K, direction):
        return self.centred_bytes

    def saves(self, inputs, outputs, needs):
        return inputs

    def _centred(self, K, x):
        """x - mean, in float32 for half types."""
        xp = array_module(x)
        wide = xp.promote_types(x.dtype, xp.float32)
        mean = xp.sum(x, axis=self.axes, keepdims=True, dtype=wide) / wide.type(self.count)
        d = K.empty(x.shape, wide)
        xp.subtract(x, mean, out=d)
        return d

    def forward(self, K, out, aux, x):
        with np.errstate(invalid="ignore"):  # the variance of nothing is NaN
            d = self._centred(K, x)
            array_module(x).multiply(d, d, out=d)
            total = d.sum(axis=self.axes)
            out[0].reshape(self.dropped)[...] = total / d.dtype.type(self.count - self.ddof)

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        if gx.size:
            d = self._centred(K, self.saved[0])
            scale = gy.astype(d.dtype) * d.dtype.type(2 / (self.count - self.ddof))
            gx[...] = array_module(d).multiply(d, scale.reshape(self.kept), out=d)
        return (gx,)


@function
def var(x, axis=None, keepdims=False, ddof=0):
    """Mean squared deviation over axis with divisor m - ddof (0: biased, as NumPy; 1: unbiased)."""
    return Var(axis, keepdims, ddof)(x)
