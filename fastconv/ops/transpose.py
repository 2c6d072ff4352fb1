"""Axes in another order, copied to contiguous memory: axis i of y is axis axes[i] of x."""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError
from fastconv.ops.axes import one_axis


class Transpose(Op):
    autocast = "keep"

    axes: tuple[int, ...]

    def infer(self, x):
        axes = tuple([one_axis("transpose", a, x.shape) for a in self.axes])
        if sorted(axes) != list(range(x.ndim)):
            raise ArgumentError(
                f"transpose: axes {self.axes} must name each of the {x.ndim} axes of {x.shape} once"
            )
        self.permutation = axes
        return (Spec(tuple([x.shape[a] for a in axes]), x.dtype),), ()

    def forward(self, K, out, aux, x):
        out[0][...] = array_module(x).transpose(x, self.permutation)

    def backward(self, K, gy):
        inverse = tuple([self.permutation.index(i) for i in range(gy.ndim)])
        gy = array_module(gy).transpose(gy, inverse)
        gx = K.empty(gy.shape, gy.dtype)
        gx[...] = gy
        return (gx,)


@function
def transpose(x, *axes):
    """x with its axes in the order given (ints or one tuple; none: reversed). A contiguous copy."""
    if len(axes) == 1 and isinstance(axes[0], tuple | list):
        axes = axes[0]
    return Transpose(tuple(axes) or tuple(range(x.ndim))[::-1])(x)
