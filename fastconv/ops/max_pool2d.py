"""Max pooling.

    y[n,p,q,c] = max over r,s of x[n, p*stride+r*dilation-pad, q*stride+s*dilation-pad, c]

Padding never wins. The first maximum in row order gets the gradient; what is kept for it is its
position in the window, one byte per output, not x.
"""

import numpy as np

from fastconv.backend import Pool2dProblem
from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError
from fastconv.ops.arguments import (
    check_image,
    float_dtype,
    four_sides,
    pair,
    same_sides,
    window_outputs,
)


class MaxPool2d(Op):
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: str | tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    def infer(self, x):
        dtype = float_dtype("max_pool2d", x=x)
        self.problem = p = pool2d_problem(
            *("max_pool2d", x, self.window, self.stride, self.padding),
            *(self.dilation, self.ceil_mode),
        )
        shape = (p.n, p.p, p.q, p.c)
        position = np.dtype("uint8" if p.r * p.s <= 256 else "int32")
        return (Spec(shape, dtype),), (Spec(shape, position),) if self.needs[0] else ()

    def forward(self, K, out, aux, x):
        K.max_pool2d_fwd(x, out[0], aux[0] if aux else None, self.problem)

    def backward(self, K, gy):
        p = self.problem
        gx = K.empty((p.n, p.h, p.w, p.c), gy.dtype)
        K.max_pool2d_bwd(gy, self.aux[0], gx, p)
        return (gx,)


def pool2d_problem(name, x, window, stride, padding, dilation, ceil_mode) -> Pool2dProblem:
    """The frozen problem of x, or ShapeError/ArgumentError with the numbers."""
    n, h, w, c = check_image(name, x)
    if padding == "same":
        padding = same_sides((h, w), window, stride, dilation)
    for axis in (0, 1):
        reach = dilation[axis] * (window[axis] - 1) + 1
        if max(padding[2 * axis : 2 * axis + 2]) >= reach:
            raise ArgumentError(
                f"{name}: padding {padding} (top, bottom, left, right) must be smaller than the"
                f" window, which spans {reach} {('rows', 'columns')[axis]}: a window would lie in"
                " the padding only"
            )
    p, q = window_outputs(name, (h, w), window, stride, padding, dilation, ceil_mode)
    return Pool2dProblem(n, h, w, c, *window, p, q, stride, padding, dilation)


@function(images=("x",), out=True)
def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest value of each window of x (N, H, W, C); gives (N, P, Q, C).

    stride None: kernel_size. padding: int, (h, w), (top, bottom, left, right), "valid" or "same",
    smaller than the window. ceil_mode: a last window that only partly fits counts. Raises
    ShapeError, DTypeError, ArgumentError.
    """
    window = pair(kernel_size, "max_pool2d: kernel_size")
    return MaxPool2d(
        window,
        window if stride is None else pair(stride, "max_pool2d: stride"),
        four_sides(padding, "max_pool2d: padding"),
        pair(dilation, "max_pool2d: dilation"),
        bool(ceil_mode),
    )(x)
