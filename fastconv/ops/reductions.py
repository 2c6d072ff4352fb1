"""Reductions over axes, in NumPy's spelling: axis (None for all, an int, a tuple), keepdims.

    sum    y = sum x                     gx = gy
    mean   y = sum x / m                 gx = gy / m
    max    y = max x                     gx = gy * [x = y] / (number of elements equal to y)
    min    y = min x                     the same

m is the number of elements that one y is made of.
"""

from math import prod
from typing import ClassVar

import numpy as np

from fastconv.backend import array_module
from fastconv.core import Op, Spec, as_dtype, function, is_float
from fastconv.errors import ShapeError
from fastconv.ops.axes import reduced_shape, several_axes
from fastconv.ops.broadcast import sum_into


class Reduce(Op):
    """Shape arithmetic of all reductions."""

    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False

    def dtype(self, name, x):
        return x.dtype

    def infer(self, x):
        name = type(self).__name__.lower()
        self.x_shape = x.shape
        self.axes = several_axes(name, self.axis, x.shape)
        self.kept = reduced_shape(x.shape, self.axes, True)
        self.dropped = reduced_shape(x.shape, self.axes, False)
        self.count = prod(x.shape[i] for i in self.axes)
        shape = self.kept if self.keepdims else self.dropped
        return (Spec(shape, self.dtype(name, x)),), ()


class Sum(Reduce):
    def dtype(self, name, x):
        return as_dtype("int64") if x.dtype == bool else x.dtype

    def forward(self, K, out, aux, x):
        sum_into(x, self.axes, out[0].reshape(self.dropped))

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        gx[...] = gy.reshape(self.kept)
        return (gx,)


class Mean(Reduce):
    autocast = "float32"

    def dtype(self, name, x):
        return x.dtype if is_float(x.dtype) else as_dtype("float32")

    def forward(self, K, out, aux, x):
        xp = array_module(x)
        wide = xp.float64 if not is_float(x.dtype) or x.dtype == np.float64 else xp.float32
        total = xp.sum(x, axis=self.axes, dtype=wide)
        with np.errstate(invalid="ignore"):  # the mean of nothing is NaN
            out[0].reshape(self.dropped)[...] = total / total.dtype.type(self.count)

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        if gx.size:
            gx[...] = (gy / gy.dtype.type(self.count)).reshape(self.kept)
        return (gx,)


class Extremum(Reduce):
    ufunc: ClassVar[str]

    def infer(self, x):
        specs = super().infer(x)
        if self.count == 0 and prod(self.kept):
            name = type(self).__name__.lower()
            raise ShapeError(f"{name}: no elements along axis {self.axis} of shape {x.shape}")
        return specs

    def saves(self, inputs, outputs, needs):
        return inputs[0], outputs[0]

    def forward(self, K, out, aux, x):
        getattr(array_module(x), self.ufunc)(x, axis=self.axes, out=out[0].reshape(self.dropped))

    def backward(self, K, gy):
        x, y = self.saved
        wins = x == y.reshape(self.kept)
        ties = wins.sum(axis=self.axes, keepdims=True)
        gx = K.empty(self.x_shape, gy.dtype)
        gx[...] = wins
        array_module(x).multiply(gx, (gy.reshape(self.kept) / ties).astype(gy.dtype), out=gx)
        return (gx,)


class Max(Extremum):
    ufunc = "amax"


class Min(Extremum):
    ufunc = "amin"


@function
def sum(x, axis=None, keepdims=False):
    """Sum over axis, any dtype (bool counts in int64)."""
    return Sum(axis, keepdims)(x)


@function
def mean(x, axis=None, keepdims=False):
    """Mean over axis; float32 of integers and bool; NaN of nothing."""
    return Mean(axis, keepdims)(x)


@function
def max(x, axis=None, keepdims=False):
    """Largest element over axis; NaN wins; equal ones share the gradient."""
    return Max(axis, keepdims)(x)


@function
def min(x, axis=None, keepdims=False):
    """Smallest element over axis; NaN wins; equal ones share the gradient."""
    return Min(axis, keepdims)(x)
