"""LeNet-5's subsampling: layers S2 and S4. LeCun et al. 1998, section II.B.

    y[n,p,q,c] = coefficient[c] * sum over r,s of x[n, p*size+r, q*size+s, c] + bias[c]

Windows do not overlap; the paper's are 2x2. What a last incomplete window would hold is left out.
"""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import full_precision, nchw_hint, pair
from fastconv.ops.max_pool2d import pool2d_problem

NAME = "trainable_subsampling"


class TrainableSubsampling(Op):
    autocast = "float32"

    window: tuple[int, int]

    def infer(self, x, coefficient, bias):
        dtype = full_precision(NAME, x=x, coefficient=coefficient, bias=bias)
        self.problem = p = pool2d_problem(
            NAME, x, self.window, self.window, (0, 0, 0, 0), (1, 1), ceil_mode=False
        )
        for name, a in (("coefficient", coefficient), ("bias", bias)):
            if a.shape != (p.c,):
                hint = nchw_hint(x, a.shape[0]) if a.ndim == 1 else ""
                raise ShapeError(
                    f"{NAME}: {name} must have shape ({p.c},) for x {x.shape}, got {a.shape}{hint}"
                )
        self.y = Spec((p.n, p.p, p.q, p.c), dtype)
        # the means are a fraction of x, so they are kept instead of it
        return (self.y,), (self.y,) if self.needs[1] else ()

    def saves(self, inputs, outputs, needs):
        return (inputs[1] if needs[0] else None,)

    def workspace(self, K, direction):
        if direction == "backward" and (self.needs[0] or self.needs[1]):
            return self.y.nbytes
        return 0

    def forward(self, K, out, aux, x, coefficient, bias):
        y = out[0]
        mean = aux[0] if aux else y
        xp = array_module(y)
        K.avg_pool2d_fwd(x, mean, self.problem, True)
        xp.multiply(mean, self._of_mean(coefficient), out=y)
        xp.add(y, bias, out=y)

    def backward(self, K, gy):
        (coefficient,) = self.saved
        p, xp = self.problem, array_module(gy)
        gx = gcoefficient = gbias = None
        if self.needs[0] or self.needs[1]:
            product = K.empty(gy.shape, gy.dtype)
        if self.needs[0]:
            gx = K.empty((p.n, p.h, p.w, p.c), gy.dtype)
            xp.multiply(gy, self._of_mean(coefficient), out=product)
            K.avg_pool2d_bwd(product, gx, p, True)
        if self.needs[1]:
            gcoefficient = K.empty((p.c,), gy.dtype)
            xp.multiply(gy, self.aux[0], out=product)
            K.channel_sum(product, gcoefficient)
            xp.multiply(gcoefficient, p.r * p.s, out=gcoefficient)
        if self.needs[2]:
            gbias = K.empty((p.c,), gy.dtype)
            K.channel_sum(gy, gbias)
        return gx, gcoefficient, gbias

    def _of_mean(self, coefficient):
        """The factor of the window's mean that is coefficient times its sum."""
        return coefficient * (self.window[0] * self.window[1])


@function(images=("x",))
def trainable_subsampling(x, coefficient, bias, kernel_size=2):
    """x (N, H, W, C), coefficient and bias (C,) -> (N, H // size, W // size, C).

    Raises ShapeError, DTypeError, ArgumentError.
    """
    return TrainableSubsampling(pair(kernel_size, f"{NAME}: kernel_size"))(x, coefficient, bias)
