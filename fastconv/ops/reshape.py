"""The same memory under another shape, a view: y.flat[i] = x.flat[i] in row-major order."""

from math import prod
from operator import index

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.axes import one_axis, several_axes


class Reshape(Op):
    autocast = "keep"
    passes = (0,)

    shape: tuple[int, ...]

    def infer(self, x):
        self.x_shape = x.shape
        return (Spec(resolved_shape(self.shape, x), x.dtype, alias=0),), ()

    def forward(self, K, out, aux, x):
        pass  # the gate made the view

    def backward(self, K, gy):
        return (gy.reshape(self.x_shape),)


def resolved_shape(shape, x):
    """shape with its one -1, if any, filled in; ShapeError if x has another number of elements."""
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and known and x.size % known == 0:
        shape = tuple([x.size // known if n == -1 else n for n in shape])
    if -1 in shape or prod(shape) != x.size:
        raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit shape {shape}")
    return shape


@function
def reshape(x, *shape):
    """x under another shape, given as integers or one tuple; one of them may be -1. A view."""
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = shape[0]
    try:
        shape = tuple([index(n) for n in shape])
    except TypeError:
        raise ArgumentError(
            f"reshape: shape must be ints or one tuple of ints, got {shape!r}"
        ) from None
    if any(n < -1 for n in shape):
        raise ArgumentError(f"reshape: a size must be at least 0, or -1 once, got {shape}")
    return Reshape(shape)(x)


@function
def flatten(x, start_axis=1):
    """All axes from start_axis on as one: (N, H, W, C) -> (N, H*W*C). A view."""
    start = one_axis("flatten", start_axis, x.shape, argument="start_axis")
    return Reshape((*x.shape[:start], prod(x.shape[start:])))(x)


@function
def squeeze(x, axis=None):
    """Without axes of size 1: all, or those that axis names (ShapeError if larger). A view."""
    if axis is None:
        return Reshape(tuple([n for n in x.shape if n != 1]))(x)
    axes = several_axes("squeeze", axis, x.shape)
    if any(x.shape[i] != 1 for i in axes):
        raise ShapeError(f"squeeze: axis {axis} of shape {x.shape} is not of size 1")
    return Reshape(tuple([n for i, n in enumerate(x.shape) if i not in axes]))(x)


@function
def expand_dims(x, axis):
    """With a new axis of size 1 at position axis of the result. A view."""
    at = one_axis("expand_dims", axis, x.shape, new=1)
    return Reshape((*x.shape[:at], 1, *x.shape[at:]))(x)


@function
def unsqueeze(x, axis):
    """expand_dims under the name that PyTorch gives it."""
    return expand_dims(x, axis)
