"""A border of a constant around images: y[n, h+top, w+left, c] = x[n, h, w, c], value elsewhere."""

from numbers import Real

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError
from fastconv.ops.arguments import check_image, four_sides


class Pad(Op):
    sides: tuple[int, int, int, int]  # top, bottom, left, right
    value: float = 0.0

    def infer(self, x):
        n, h, w, c = check_image("pad", x)
        top, bottom, left, right = self.sides
        self.inner = (slice(None), slice(top, top + h), slice(left, left + w))
        return (Spec((n, h + top + bottom, w + left + right, c), x.dtype),), ()

    def forward(self, K, out, aux, x):
        out[0][...] = self.value
        out[0][self.inner] = x

    def backward(self, K, gy):
        inner = gy[self.inner]
        gx = K.empty(inner.shape, gy.dtype)
        gx[...] = inner
        return (gx,)


@function(images=("x",))
def pad(x, padding, value=0.0):
    """x (N, H, W, C) with padding (int, (h, w) or (top, bottom, left, right)) filled with value."""
    if padding == "same":
        raise ArgumentError("pad: padding 'same' needs a window; give numbers")
    if not isinstance(value, Real):
        raise ArgumentError(f"pad: value must be a number, got {value!r}")
    return Pad(four_sides(padding, "pad: padding"), value)(x)
