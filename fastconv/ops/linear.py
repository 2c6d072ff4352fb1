"""Fully connected layer.

    y[..., k] = b[k] + sum_c x[..., c] * w[k, c]

x (..., C), w (K, C), y (..., K): a 1x1 convolution without the image.
"""

from math import prod

from fastconv.backend import Epilogue
from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import float_dtype
from fastconv.ops.matmul import run_gemm


class Linear(Op):
    bilinear = (0, 1)
    autocast = "low"

    def infer(self, x, w, b=None):
        self.dtype = float_dtype("linear", x=x, w=w, b=b)
        if w.ndim != 2:
            raise ShapeError(f"linear: w must have 2 axes (K, C), got shape {w.shape}")
        k, c = w.shape
        if x.ndim < 1 or x.shape[-1] != c:
            flat = prod(x.shape[1:]) == c
            raise ShapeError(
                f"linear: the last axis of x {x.shape} must be the {c} columns of w {w.shape}"
                + ("; flatten it: x.reshape(x.shape[0], -1)" if flat else "")
            )
        if b is not None and b.shape != (k,):
            raise ShapeError(f"linear: b must have shape ({k},) for w {w.shape}, got {b.shape}")
        self.rows, self.k, self.c = prod(x.shape[:-1]), k, c
        self.x_shape = x.shape
        return (Spec((*x.shape[:-1], k), self.dtype),), ()

    def macs(self, x, w, b, y):
        return self.rows * self.k * self.c

    def saves(self, inputs, outputs, needs):
        x, w = inputs[:2]
        return (x if needs[1] else None, w if needs[0] else None)

    def workspace(self, K, direction):
        rows, k, c = self.rows, self.k, self.c
        products = ((rows, c, k), (k, c, rows))
        if direction == "forward":
            products = ((rows, k, c),)
        else:
            products = [p for p, need in zip(products, self.needs, strict=False) if need]
        return max((K.gemm_workspace(*p, self.dtype) for p in products), default=0)

    def forward(self, K, out, aux, x, w, b=None):
        y = out[0].reshape(self.rows, self.k)
        run_gemm(K, x.reshape(self.rows, self.c), w, y, trans_b=True, epilogue=Epilogue(shift=b))

    def backward(self, K, gy):
        x, w = self.saved
        gx = gw = gb = None
        gy = gy.reshape(self.rows, self.k)
        if self.needs[0]:
            gx = K.empty(self.x_shape, gy.dtype)
            run_gemm(K, gy, w, gx.reshape(self.rows, self.c))
        if self.needs[1]:
            gw = K.empty((self.k, self.c), gy.dtype)
            run_gemm(K, gy, x.reshape(self.rows, self.c), gw, trans_a=True)
        if len(self.needs) > 2 and self.needs[2]:
            gb = K.empty((self.k,), gy.dtype)
            K.channel_sum(gy, gb)
        return (gx, gw, gb)[: len(self.needs)]


@function(out=True)
def linear(x, w, b=None):
    """x (..., C) times w (K, C) transposed, plus b (K,); gives (..., K).

    Raises ShapeError, DTypeError.
    """
    return Linear()(x, w, b)
