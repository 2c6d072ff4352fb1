"""Tensors one behind the other along an existing axis; each gets its piece of the gradient."""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, as_tensor, function
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.ops.axes import one_axis


class Concat(Op):
    axis: int

    def infer(self, *xs):
        first = xs[0].shape
        self.at = at = one_axis("concat", self.axis, first)
        for i, x in enumerate(xs):
            if x.ndim != len(first) or x.shape[:at] + x.shape[at + 1 :] != (
                first[:at] + first[at + 1 :]
            ):
                raise ShapeError(
                    f"concat: array {i} has shape {x.shape}, array 0 {first}: they may differ along"
                    f" axis {self.axis} only"
                )
        self.sizes = [x.shape[at] for x in xs]
        shape = (*first[:at], sum(self.sizes), *first[at + 1 :])
        return (Spec(shape, common_dtype("concat", xs)),), ()

    def forward(self, K, out, aux, *xs):
        array_module(out[0]).concatenate(xs, axis=self.at, out=out[0])

    def backward(self, K, gy):
        gradients, start = [], 0
        for size, need in zip(self.sizes, self.needs):
            gx = None
            if need:
                piece = gy[(slice(None),) * self.at + (slice(start, start + size),)]
                gx = K.empty(piece.shape, gy.dtype)
                gx[...] = piece
            gradients.append(gx)
            start += size
        return gradients


def common_dtype(name, xs):
    """The dtype of all xs, or DTypeError."""
    for i, x in enumerate(xs):
        if x.dtype != xs[0].dtype:
            raise DTypeError(
                f"{name}: array 0 is {xs[0].dtype}, array {i} is {x.dtype}; convert one with"
                f" .astype('{xs[0].dtype}')"
            )
    return xs[0].dtype


def sequence(name, arrays):
    """arrays (a non-empty list or tuple) as Tensors."""
    if not isinstance(arrays, list | tuple) or not arrays:
        came = arrays if isinstance(arrays, list | tuple) else type(arrays).__name__
        raise ArgumentError(f"{name}: expected a list of at least one tensor, got {came}")
    return [as_tensor(a) for a in arrays]


@function
def concat(arrays, axis=0):
    """Join a list of tensors along axis; the other axes and the dtypes must be equal."""
    return Concat(axis)(*sequence("concat", arrays))
