"""Max pooling to a given output size.

    y[n,p,q,c] = max of x[n,h,w,c] over floor(p*H/P) <= h < ceil((p+1)*H/P), w likewise

What is kept for the gradient is h*W + w of the first maximum, int32 per output.
"""

import numpy as np

from fastconv.core import Op, Spec, function
from fastconv.ops.adaptive_avg_pool2d import check_map
from fastconv.ops.arguments import float_dtype, pair


class AdaptiveMaxPool2d(Op):
    output_size: tuple[int, int]

    def infer(self, x):
        dtype = float_dtype("adaptive_max_pool2d", x=x)
        self.x_shape = n, _, _, c = check_map("adaptive_max_pool2d", x)
        shape = (n, *self.output_size, c)
        return (Spec(shape, dtype),), (Spec(shape, np.dtype("int32")),) if self.needs[0] else ()

    def forward(self, K, out, aux, x):
        K.adaptive_max_pool2d_fwd(x, out[0], aux[0] if aux else None)

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        K.adaptive_max_pool2d_bwd(gy, self.aux[0], gx)
        return (gx,)


@function(images=("x",), out=True)
def adaptive_max_pool2d(x, output_size):
    """x (N, H, W, C) -> (N, P, Q, C), output_size an int or (P, Q). Raises ShapeError, DTypeError,
    ArgumentError."""
    return AdaptiveMaxPool2d(pair(output_size, "adaptive_max_pool2d: output_size"))(x)
