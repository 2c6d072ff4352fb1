"""Limits: y = min(max(x, low), high); gx = gy where low <= x <= high, else 0."""

from numbers import Real

from fastconv.backend import array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError
from fastconv.ops.arguments import float_dtype


class Clip(Op):
    low: float | None = None
    high: float | None = None

    def infer(self, x):
        return (Spec(x.shape, float_dtype("clip", x=x)),), ()

    def saves(self, inputs, outputs, needs):
        return inputs

    def _limits(self, dtype):
        return [None if v is None else dtype.type(v) for v in (self.low, self.high)]

    def forward(self, K, out, aux, x):
        array_module(x).clip(x, *self._limits(x.dtype), out=out[0])

    def backward(self, K, gy):
        x = self.saved[0]
        low, high = self._limits(x.dtype)
        gx = K.empty(gy.shape, gy.dtype)
        gx[...] = gy
        if low is not None:
            array_module(gx).copyto(gx, 0, where=x < low)
        if high is not None:
            array_module(gx).copyto(gx, 0, where=x > high)
        return (gx,)


@function
def clip(x, min=None, max=None):
    """x limited to [min, max], numbers; None: no limit on that side. NaN stays NaN."""
    for name, value in (("min", min), ("max", max)):
        if value is not None and not isinstance(value, Real):
            raise ArgumentError(f"clip: {name} must be a number or None, got {value!r}")
    if min is None and max is None:
        raise ArgumentError("clip: give min, max or both")
    if None not in (min, max) and min > max:
        raise ArgumentError(f"clip: min {min} is above max {max}")
    return Clip(min, max)(x)
