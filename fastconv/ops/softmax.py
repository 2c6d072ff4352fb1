"""Softmax and its logarithm over one axis.

softmax      y_i = exp(x_i) / sum_j exp(x_j)              gx = y * (gy - sum_j gy_j y_j)
log_softmax  y_i = x_i - log sum_j exp(x_j)               gx = gy - exp(y) * sum_j gy_j
"""

from math import prod

from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import float_dtype
from fastconv.ops.axes import one_axis
from fastconv.ops.transpose import transpose


class Softmax(Op):
    """Over the last axis."""

    autocast = "float32"

    log: bool

    def infer(self, x):
        name = "log_softmax" if self.log else "softmax"
        self.rows = (prod(x.shape[:-1]), x.shape[-1])
        if 0 in self.rows[1:] and self.rows[0]:
            raise ShapeError(f"{name}: no classes along the last axis of shape {x.shape}")
        return (Spec(x.shape, float_dtype(name, x=x)),), ()

    def saves(self, inputs, outputs, needs):
        return outputs

    def forward(self, K, out, aux, x):
        K.softmax_fwd(x.reshape(self.rows), out[0].reshape(self.rows), self.log)

    def backward(self, K, gy):
        gx = K.empty(gy.shape, gy.dtype)
        y = self.saved[0].reshape(self.rows)
        K.softmax_bwd(gy.reshape(self.rows), y, gx.reshape(self.rows), self.log)
        return (gx,)


def _over(name, x, axis, log):
    at = one_axis(name, axis, x.shape)
    if at == x.ndim - 1:
        return Softmax(log)(x)
    # the axis trades places with the last one, there and back
    order = list(range(x.ndim))
    order[at], order[-1] = order[-1], order[at]
    return transpose(Softmax(log)(transpose(x, order)), order)


@function
def softmax(x, axis=-1):
    """Positive numbers that sum to 1 along axis, any shape of at least one axis."""
    return _over("softmax", x, axis, False)


@function
def log_softmax(x, axis=-1):
    """Logarithm of softmax along axis, computed without overflow."""
    return _over("log_softmax", x, axis, True)
