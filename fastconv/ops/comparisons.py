"""Element-wise comparisons with broadcasting: bool tensors, no gradient. NaN equals nothing."""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, as_dtype, function, is_float
from fastconv.errors import DTypeError
from fastconv.ops.broadcast import broadcast_shape, operands


class Compare(Op):
    ufunc: str

    def infer(self, x, y):
        self.needs = (False, False)
        if x.dtype != y.dtype and (is_float(x.dtype) or is_float(y.dtype)):
            raise DTypeError(
                f"{self.ufunc}: the operands are {x.dtype} and {y.dtype}; convert one, for example"
                f" .astype('{x.dtype}')"
            )
        return (Spec(broadcast_shape(self.ufunc, x, y), as_dtype("bool")),), ()

    def forward(self, K, out, aux, x, y):
        getattr(array_module(x), self.ufunc)(x, y, out=out[0])


@function
def equal(x, y):
    """x == y per element; integer types may differ, floating types may not."""
    return Compare("equal")(*operands("equal", x, y))


@function
def not_equal(x, y):
    """x != y per element."""
    return Compare("not_equal")(*operands("not_equal", x, y))


@function
def less(x, y):
    """x < y per element."""
    return Compare("less")(*operands("less", x, y))


@function
def less_equal(x, y):
    """x <= y per element."""
    return Compare("less_equal")(*operands("less_equal", x, y))


@function
def greater(x, y):
    """x > y per element."""
    return Compare("greater")(*operands("greater", x, y))


@function
def greater_equal(x, y):
    """x >= y per element."""
    return Compare("greater_equal")(*operands("greater_equal", x, y))
