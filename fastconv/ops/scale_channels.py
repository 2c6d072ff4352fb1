"""Squeeze-and-excitation's scaling: every channel of every image by its own number. Hu et al. 2018.

y[n,h,w,c] = x[n,h,w,c] * s[n,c]
"""

from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import check_image, float_dtype, nchw_hint


class ScaleChannels(Op):
    def infer(self, x, s):
        dtype = float_dtype("scale_channels", x=x, s=s)
        n, _, _, c = check_image("scale_channels", x)
        if s.shape not in ((n, 1, 1, c), (n, c)):
            hint = nchw_hint(x, s.shape[-1]) if s.ndim else ""
            raise ShapeError(
                f"scale_channels: s must have shape {(n, 1, 1, c)} or {(n, c)} for x {x.shape}, got"
                f" {s.shape}{hint}"
            )
        self.x_shape, self.s_shape = x.shape, s.shape
        return (Spec(x.shape, dtype),), ()

    def saves(self, inputs, outputs, needs):
        x, s = inputs
        return (x if needs[1] else None, s if needs[0] else None)

    def forward(self, K, out, aux, x, s):
        K.scale_channels_fwd(x, self._as_map(s), out[0])

    def backward(self, K, gy):
        x, s = self.saved
        gx = gs = None
        if self.needs[0]:
            gx = K.empty(self.x_shape, gy.dtype)
        if self.needs[1]:
            gs = K.empty(self.s_shape, gy.dtype)
        K.scale_channels_bwd(gy, x, self._as_map(s), gx, self._as_map(gs))
        return gx, gs

    def _as_map(self, s):
        return None if s is None else s.reshape(self.x_shape[0], 1, 1, self.x_shape[3])


@function(images=("x", "s"))
def scale_channels(x, s):
    """x (N, H, W, C) times s (N, 1, 1, C) or (N, C); same shape as x. Raises ShapeError,
    DTypeError."""
    return ScaleChannels()(x, s)
