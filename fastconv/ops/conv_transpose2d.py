"""Transposed convolution: the input gradient of a convolution, used as a forward pass.

    y[n,h,w,c] = b[c] + sum of x[n,p,q,k] * w[k,r,s,c] over p*stride+r*dilation-pad = h,
                                                              q*stride+s*dilation-pad = w

x (N, P, Q, K), w (K, R, S, C/groups), y (N, H, W, C): w is the OHWI weight of the convolution from
y to x whose input gradient this is, so the input channels come first.
H = (P-1)*stride - pad_top - pad_bottom + dilation*(R-1) + 1 + output_padding, W likewise.
Dumoulin and Visin 2016, chapter 4.
"""

from typing import ClassVar

from fastconv.core import function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import check_image, four_sides, nchw_hint, pair, positive_int
from fastconv.ops.conv2d_gradients import Conv2dInputGrad

NAME = "conv_transpose2d"


class ConvTranspose2d(Conv2dInputGrad):
    name: ClassVar[str] = NAME
    first: ClassVar[str] = "x"

    def infer(self, x, w, b=None):
        specs = super().infer(x, w, b)
        if b is not None and b.shape != (self.problem.c,):
            raise ShapeError(
                f"{NAME}: b must have shape ({self.problem.c},) for w {w.shape} with"
                f" groups={self.groups}, got {b.shape}"
            )
        return specs


def _output_shape(x, w, stride, padding, output_padding, dilation, groups):
    n, p, q, k = check_image(NAME, x)
    if w.ndim != 4:
        raise ShapeError(f"{NAME}: w must have 4 axes (K, R, S, C/groups), got shape {w.shape}")
    if k != w.shape[0]:
        raise ShapeError(
            f"{NAME}: x has {k} channels, w {w.shape} needs {w.shape[0]}"
            f" (the input channels come first){nchw_hint(x, w.shape[0])}"
        )
    size = []
    for axis, inputs in enumerate((p, q)):
        extra, step = output_padding[axis], stride[axis]
        if extra >= step:
            raise ArgumentError(
                f"{NAME}: output_padding {output_padding} must be smaller than the stride"
                f" {stride}: it picks one of the sizes that the stride rounds to the same"
            )
        sides = padding[2 * axis] + padding[2 * axis + 1]
        reach = dilation[axis] * (w.shape[1 + axis] - 1) + 1
        size.append((inputs - 1) * step - sides + reach + extra)
    if min(size) < 1:
        raise ShapeError(
            f"{NAME}: the output would be {size[0]}x{size[1]}: padding {padding} takes more than"
            f" x {x.shape} with w {w.shape} and stride {stride} gives"
        )
    return (n, *size, w.shape[3] * groups)


@function(images=("x", "w"), out=True)
def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """x (N, P, Q, K), w (K, R, S, C/groups), b (C,) -> (N, H, W, C); the order of arguments is
    PyTorch's.

    padding: int, (h, w), (top, bottom, left, right) or "valid", taken off the output.
    output_padding: int or pair, smaller than the stride, added to the output's bottom and right.
    layout="NCHW" takes w as PyTorch has it, (K, C/groups, R, S). Raises ShapeError, DTypeError,
    ArgumentError.
    """
    stride = pair(stride, f"{NAME}: stride")
    dilation = pair(dilation, f"{NAME}: dilation")
    groups = positive_int(groups, f"{NAME}: groups")
    output_padding = pair(output_padding, f"{NAME}: output_padding", minimum=0)
    padding = four_sides(padding, f"{NAME}: padding")
    if padding == "same":
        raise ArgumentError(f"{NAME}: padding='same' says nothing of the output's size: give ints")
    shape = _output_shape(x, w, stride, padding, output_padding, dilation, groups)
    return ConvTranspose2d(shape, stride, padding, dilation, groups)(x, w, b)
