"""Resize the maps of x (N, H, W, C) to (N, P, Q, C).

    nearest   y[p] = x[floor(p * H/P)]
    bilinear  y[p] = (1-t) * x[floor(h)] + t * x[floor(h) + 1], t = h - floor(h), rows, then columns
              h = (p + 0.5) * H/P - 0.5, or p * (H-1)/(P-1) with align_corners

As torch's interpolate(size=...) does; with a scale_factor that does not give a whole size, as with
its recompute_scale_factor=True.
"""

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.adaptive_avg_pool2d import check_map
from fastconv.ops.arguments import float_dtype, pair

MODES = ("nearest", "bilinear")


class Resize(Op):
    size: tuple[int, int]
    mode: str
    align_corners: bool

    def infer(self, x):
        dtype = float_dtype("resize", x=x)
        self.x_shape = n, _, _, c = check_map("resize", x)
        return (Spec((n, *self.size, c), dtype),), ()

    def forward(self, K, out, aux, x):
        K.resize_fwd(x, out[0], self.mode, self.align_corners)

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        K.resize_bwd(gy, gx, self.mode, self.align_corners)
        return (gx,)


def _scaled(x, factor):
    both = (factor, factor) if isinstance(factor, int | float) else factor
    if (
        not isinstance(both, tuple | list)
        or len(both) != 2
        or not all(isinstance(f, int | float) and f > 0 for f in both)
    ):
        raise ArgumentError(
            f"resize: scale_factor must be a number or a pair of numbers above 0, got {factor!r}"
        )
    _, h, w, _ = check_map("resize", x)
    size = (int(h * both[0]), int(w * both[1]))
    if min(size) < 1:
        raise ShapeError(f"resize: x {x.shape} with scale_factor {factor} would be {size}")
    return size


@function(images=("x",))
def resize(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    """x (N, H, W, C) -> (N, P, Q, C) with size an int or (P, Q), or floor(H * scale_factor).

    mode "nearest" or "bilinear"; align_corners (bilinear only): the corner pixels stay where they
    are. Raises ShapeError, DTypeError, ArgumentError.
    """
    if mode not in MODES:
        raise ArgumentError(f"resize: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if align_corners and mode == "nearest":
        raise ArgumentError("resize: align_corners=True needs mode='bilinear'")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"resize: give either size or scale_factor, got size={size!r} and"
            f" scale_factor={scale_factor!r}"
        )
    size = _scaled(x, scale_factor) if size is None else pair(size, "resize: size")
    return Resize(size, mode, bool(align_corners))(x)
