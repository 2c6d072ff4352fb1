"""Average pooling.

    y[n,p,q,c] = 1/|window| * sum over r,s of x[n, p*stride+r-pad, q*stride+s-pad, c]

|window| counts padding zeros (count_include_pad) or only what lies in x; with ceil_mode, what lies
behind the padding never counts.
"""

from fastconv.core import Op, Spec, function
from fastconv.ops.arguments import float_dtype, four_sides, pair
from fastconv.ops.max_pool2d import pool2d_problem


class AvgPool2d(Op):
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: str | tuple[int, int, int, int] = (0, 0, 0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True

    def infer(self, x):
        dtype = float_dtype("avg_pool2d", x=x)
        self.problem = p = pool2d_problem(
            "avg_pool2d", x, self.window, self.stride, self.padding, (1, 1), self.ceil_mode
        )
        return (Spec((p.n, p.p, p.q, p.c), dtype),), ()

    def forward(self, K, out, aux, x):
        K.avg_pool2d_fwd(x, out[0], self.problem, self.count_include_pad)

    def backward(self, K, gy):
        p = self.problem
        gx = K.empty((p.n, p.h, p.w, p.c), gy.dtype)
        K.avg_pool2d_bwd(gy, gx, p, self.count_include_pad)
        return (gx,)


@function(images=("x",), out=True)
def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of x (N, H, W, C); gives (N, P, Q, C).

    stride None: kernel_size. padding: int, (h, w), (top, bottom, left, right), "valid" or "same",
    smaller than the window. Raises ShapeError, DTypeError, ArgumentError.
    """
    window = pair(kernel_size, "avg_pool2d: kernel_size")
    return AvgPool2d(
        window,
        window if stride is None else pair(stride, "avg_pool2d: stride"),
        four_sides(padding, "avg_pool2d: padding"),
        bool(ceil_mode),
        bool(count_include_pad),
    )(x)
