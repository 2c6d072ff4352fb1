"""Average pooling to a given output size, and over the whole map.

    y[n,p,q,c] = mean of x[n,h,w,c] over floor(p*H/P) <= h < ceil((p+1)*H/P), w likewise

global_avg_pool2d is P = Q = 1 without the two axes: (N, H, W, C) -> (N, C). Lin et al. 2013.
"""

from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import check_image, float_dtype, pair


class AdaptiveAvgPool2d(Op):
    output_size: tuple[int, int]

    def infer(self, x):
        dtype = float_dtype("adaptive_avg_pool2d", x=x)
        self.x_shape = n, _, _, c = check_map("adaptive_avg_pool2d", x)
        return (Spec((n, *self.output_size, c), dtype),), ()

    def forward(self, K, out, aux, x):
        K.adaptive_avg_pool2d_fwd(x, out[0])

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        K.adaptive_avg_pool2d_bwd(gy, gx)
        return (gx,)


class GlobalAvgPool2d(Op):
    def infer(self, x):
        dtype = float_dtype("global_avg_pool2d", x=x)
        self.x_shape = n, _, _, c = check_map("global_avg_pool2d", x)
        return (Spec((n, c), dtype),), ()

    def forward(self, K, out, aux, x):
        K.adaptive_avg_pool2d_fwd(x, self._as_map(out[0]))

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        K.adaptive_avg_pool2d_bwd(self._as_map(gy), gx)
        return (gx,)

    def _as_map(self, a):
        return a.reshape(self.x_shape[0], 1, 1, self.x_shape[3])


def check_map(name, x):
    """The shape of an image batch whose maps are not empty."""
    n, h, w, c = check_image(name, x)
    if not h * w:
        raise ShapeError(f"{name}: x {x.shape} has maps of {h}x{w}: there is nothing to pool")
    return n, h, w, c


@function(images=("x",), out=True)
def adaptive_avg_pool2d(x, output_size):
    """x (N, H, W, C) -> (N, P, Q, C), output_size an int or (P, Q). Raises ShapeError, DTypeError,
    ArgumentError."""
    return AdaptiveAvgPool2d(pair(output_size, "adaptive_avg_pool2d: output_size"))(x)


@function(images=("x",), out=True)
def global_avg_pool2d(x):
    """The mean of each map: x (N, H, W, C) -> (N, C). Raises ShapeError, DTypeError."""
    return GlobalAvgPool2d()(x)
