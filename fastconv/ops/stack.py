"""Tensors of one shape along a new axis: y[..., i, ...] = x_i."""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.axes import one_axis
from fastconv.ops.concat import common_dtype, sequence


class Stack(Op):
    axis: int

    def infer(self, *xs):
        shape = xs[0].shape
        self.at = one_axis("stack", self.axis, shape, new=1)
        for i, x in enumerate(xs):
            if x.shape != shape:
                raise ShapeError(f"stack: array {i} has shape {x.shape}, array 0 {shape}")
        y_shape = (*shape[: self.at], len(xs), *shape[self.at :])
        return (Spec(y_shape, common_dtype("stack", xs)),), ()

    def forward(self, K, out, aux, *xs):
        array_module(out[0]).stack(xs, axis=self.at, out=out[0])

    def backward(self, K, gy):
        gradients = []
        for i, need in enumerate(self.needs):
            gx = None
            if need:
                piece = gy[(*(slice(None),) * self.at, i, ...)]
                gx = K.empty(piece.shape, gy.dtype)
                gx[...] = piece
            gradients.append(gx)
        return gradients


@function
def stack(arrays, axis=0):
    """Join a list of tensors of equal shape and dtype along a new axis."""
    return Stack(axis)(*sequence("stack", arrays))
