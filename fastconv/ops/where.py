"""Choice per element: y = a where condition holds, else b; the gradient goes to the one taken."""

from fastconv.backend import array_module
from fastconv.core import Op, Spec, as_tensor, function
from fastconv.errors import DTypeError
from fastconv.ops.broadcast import broadcast_shape, operands, sum_to_shape


class Where(Op):
    def infer(self, condition, a, b):
        if condition.dtype != bool:
            raise DTypeError(
                f"where: condition must be bool, got {condition.dtype}; compare first (x > 0)"
            )
        if a.dtype != b.dtype:
            raise DTypeError(f"where: a is {a.dtype}, b is {b.dtype}; convert one with .astype")
        self.shapes = a.shape, b.shape
        self.y = Spec(broadcast_shape("where", condition, a, b), a.dtype)
        return (self.y,), ()

    def workspace(self, K, direction):
        shapes = self.shapes if direction == "backward" else ()
        summed = [n and s != self.y.shape for n, s in zip(self.needs[1:], shapes)]
        return self.y.nbytes if any(summed) else 0

    def saves(self, inputs, outputs, needs):
        return (inputs[0],)

    def forward(self, K, out, aux, condition, a, b):
        out[0][...] = b
        array_module(b).copyto(out[0], a, where=condition)

    def _gradient(self, K, gy, taken, shape):
        g = K.empty(gy.shape, gy.dtype)
        g[...] = 0
        array_module(gy).copyto(g, gy, where=self.saved[0] == taken)
        return sum_to_shape(K, g, shape)

    def backward(self, K, gy):
        wanted = zip(self.shapes, self.needs[1:], (True, False))
        return None, *[self._gradient(K, gy, t, s) if need else None for s, need, t in wanted]


@function
def where(condition, a, b):
    """a where the bool tensor condition is True, else b; shapes broadcast; numbers are taken."""
    return Where()(as_tensor(condition), *operands("where", a, b))
