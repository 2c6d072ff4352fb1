"""One-dimensional convolution: a 2-D one over images of one row.

    y[n,p,k] = b[k] + sum_{r,c} x[n, p*stride+r*dilation-pad, c] * w[k,r,c]

x (N, L, C), w (K, R, C/groups), y (N, P, K).
"""

from fastconv.core import Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import positive_int
from fastconv.ops.conv2d import Conv2d


class Conv1d(Conv2d):
    """Conv2d on reshaped arrays: stride, padding and dilation are those of the one row."""

    def infer(self, x, w, b=None):
        for name, a, axes in (("x", x, "(N, L, C)"), ("w", w, "(K, R, C/groups)")):
            if a.ndim != 3:
                raise ShapeError(f"conv1d: {name} must have 3 axes {axes}, got shape {a.shape}")
        needed = w.shape[2] * self.groups
        if x.shape[2] != needed:
            raise ShapeError(
                f"conv1d: x has {x.shape[2]} channels, w {w.shape} with groups={self.groups} needs"
                f" {needed}"
                + ("; looks like (N, C, L): use x.transpose(0, 2, 1)" * (x.shape[1] == needed))
            )
        ((y,), aux) = super().infer(_as_row(x), _as_row(w), b)
        return (Spec((y.shape[0], y.shape[2], y.shape[3]), y.dtype),), aux

    def forward(self, K, out, aux, x, w, b=None):
        p = self.problem
        y = out[0].reshape(p.y_shape)
        super().forward(K, (y,), aux, x.reshape(p.x_shape), w.reshape(p.w_shape), b)

    def backward(self, K, gy):
        p = self.problem
        x, w = self.saved
        self.saved = (
            None if x is None else x.reshape(p.x_shape),
            None if w is None else w.reshape(p.w_shape),
        )
        gx, gw, *gb = super().backward(K, gy.reshape(p.y_shape))
        return (
            None if gx is None else gx.reshape(p.n, p.w, p.c),
            None if gw is None else gw.reshape(p.k, p.s, p.c // p.groups),
            *gb,
        )


def _as_row(a):
    """The Spec of a 3-D array as an image of one row."""
    return Spec((a.shape[0], 1, *a.shape[1:]), a.dtype)


def _sides(padding):
    if padding in ("same", "valid"):
        return "same" if padding == "same" else (0, 0, 0, 0)
    ends = (padding, padding) if isinstance(padding, int) else padding
    if (
        not isinstance(ends, tuple | list)
        or len(ends) != 2
        or not all(isinstance(v, int) and v >= 0 for v in ends)
    ):
        raise ArgumentError(
            "conv1d: padding must be 'same', 'valid', an int or (left, right), none negative, got"
            f" {padding!r}"
        )
    return (0, 0, *ends)


@function(out=True)
def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve x (N, L, C) with w (K, R, C/groups), add b (K,); gives (N, P, K).

    padding: int, (left, right), "valid" or "same". Raises ShapeError, DTypeError, ArgumentError.
    """
    return Conv1d(
        (1, positive_int(stride, "conv1d: stride")),
        _sides(padding),
        (1, positive_int(dilation, "conv1d: dilation")),
        positive_int(groups, "conv1d: groups"),
    )(x, w, b)
