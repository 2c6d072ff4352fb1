"""Element-wise functions of one tensor.

y        dy/dx
-x       -1
|x|      sign(x), 0 at 0
exp x    y
ln x     1/x
sqrt x   1/(2y)
"""

from typing import ClassVar

from fastconv.backend import array_module
from fastconv.core import Op, Spec, function
from fastconv.errors import DTypeError
from fastconv.ops.arguments import float_dtype


class Unary(Op):
    """y = ufunc(x)."""

    ufunc: ClassVar[str] = ""

    def infer(self, x):
        return (Spec(x.shape, float_dtype(type(self).__name__.lower(), x=x)),), ()

    def saves(self, inputs, outputs, needs):
        return outputs

    def forward(self, K, out, aux, x):
        getattr(array_module(x), self.ufunc)(x, out=out[0])

    def gradient(self, xp, gy, gx):
        raise NotImplementedError

    def backward(self, K, gy):
        gx = K.empty(gy.shape, gy.dtype)
        self.gradient(array_module(gy), gy, gx)
        return (gx,)


class Signed(Unary):
    """Also for integers, which have no gradient."""

    def infer(self, x):
        if x.dtype == bool:
            raise DTypeError(
                f"{type(self).__name__.lower()}: x is bool; convert it with x.astype('float32')"
            )
        return (Spec(x.shape, x.dtype),), ()


class Neg(Signed):
    ufunc = "negative"

    def saves(self, inputs, outputs, needs):
        return ()

    def gradient(self, xp, gy, gx):
        xp.negative(gy, out=gx)


class Abs(Signed):
    ufunc = "absolute"

    def saves(self, inputs, outputs, needs):
        return inputs

    def gradient(self, xp, gy, gx):
        xp.sign(self.saved[0], out=gx)
        xp.multiply(gx, gy, out=gx)


class Exp(Unary):
    ufunc = "exp"

    def gradient(self, xp, gy, gx):
        xp.multiply(gy, self.saved[0], out=gx)


class Log(Unary):
    ufunc = "log"

    def saves(self, inputs, outputs, needs):
        return inputs

    def gradient(self, xp, gy, gx):
        xp.divide(gy, self.saved[0], out=gx)


class Sqrt(Unary):
    ufunc = "sqrt"

    def gradient(self, xp, gy, gx):
        xp.divide(gy, self.saved[0], out=gx)
        xp.multiply(gx, gx.dtype.type(0.5), out=gx)


@function
def neg(x):
    """-x, any shape, floating or integer."""
    return Neg()(x)


@function
def abs(x):
    """|x|, any shape, floating or integer; gradient 0 at 0."""
    return Abs()(x)


@function
def exp(x):
    """e^x, any shape, floating."""
    return Exp()(x)


@function
def log(x):
    """Natural logarithm, any shape, floating; -inf at 0 and NaN below, with NumPy's warnings."""
    return Log()(x)


@function
def sqrt(x):
    """Square root, any shape, floating."""
    return Sqrt()(x)
