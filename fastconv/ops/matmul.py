"""Matrix product, x @ y as NumPy has it.

    y[..., m, n] = sum_k a[..., m, k] * b[..., k, n]

The axes before the last two broadcast. A 1-D a is a row, a 1-D b a column, whose axis is then taken
off y. One gemm per matrix; where b is one matrix, one gemm for all of a.
"""

from itertools import product
from math import prod

import numpy as np

from fastconv.backend import IDENTITY, NO_EPILOGUE
from fastconv.core import Op, Spec, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import float_dtype


class Matmul(Op):
    bilinear = (0, 1)
    autocast = "low"

    def infer(self, a, b):
        self.dtype = float_dtype("matmul", a=a, b=b)
        if not a.ndim or not b.ndim:
            raise ShapeError(
                f"matmul: both must have at least 1 axis, got shapes {a.shape} and {b.shape};"
                " a * b multiplies by a number"
            )
        self.shapes = a.shape, b.shape
        row = a.shape if a.ndim > 1 else (1, *a.shape)
        column = b.shape if b.ndim > 1 else (*b.shape, 1)
        (*batch_a, m, k), (*batch_b, kb, n) = row, column
        if k != kb:
            raise ShapeError(
                f"matmul: the last axis of a {a.shape} is {k}, the one of b {b.shape} that is"
                f" summed over is {kb}"
            )
        try:
            batch = np.broadcast_shapes(tuple(batch_a), tuple(batch_b))
        except ValueError:
            raise ShapeError(
                f"matmul: the axes before the last two, {tuple(batch_a)} of a and"
                f" {tuple(batch_b)} of b, do not broadcast"
            ) from None
        if prod(batch_b) == 1 and len(batch_b) <= len(batch_a):
            # b is one matrix: the batch of a is more rows
            self.batch_a = self.batch_b = self.batch = ()
            self.m, self.k, self.n = prod(batch) * m, k, n
        else:
            self.batch_a, self.batch_b, self.batch = tuple(batch_a), tuple(batch_b), batch
            self.m, self.k, self.n = m, k, n
        y_shape = (*batch, *([m] if a.ndim > 1 else []), *([n] if b.ndim > 1 else []))
        return (Spec(y_shape, self.dtype),), ()

    def macs(self, a, b, y):
        return prod(self.batch) * self.m * self.n * self.k

    def saves(self, inputs, outputs, needs):
        a, b = inputs
        return (a if needs[1] else None, b if needs[0] else None)

    def workspace(self, K, direction):
        m, n, k = self.m, self.n, self.k
        if not prod(self.batch):
            return 0
        if direction == "forward":
            return K.gemm_workspace(m, n, k, self.dtype)
        gradients = zip(((m, k, n), (k, n, m)), self._matrices_of_inputs(), self.needs, strict=True)
        return max(
            (
                K.gemm_workspace(*size, self.dtype) + self._summand(matrices, size)
                for size, matrices, need in gradients
                if need
            ),
            default=0,
        )

    def _matrices_of_inputs(self):
        return prod(self.batch_a), prod(self.batch_b)

    def _summand(self, matrices, size):
        """Bytes of one product that is added to a broadcast input's gradient."""
        rows, columns, _ = size
        return 0 if matrices == prod(self.batch) else rows * columns * self.dtype.itemsize

    def _pairs(self):
        """(index in y, in a, in b) of every matrix, in order."""

        def source(index, batch):
            own = index[len(index) - len(batch) :]
            return tuple(0 if size == 1 else i for i, size in zip(own, batch, strict=True))

        for index in product(*map(range, self.batch)):
            yield index, source(index, self.batch_a), source(index, self.batch_b)

    def forward(self, K, out, aux, a, b):
        a = a.reshape(*self.batch_a, self.m, self.k)
        b = b.reshape(*self.batch_b, self.k, self.n)
        y = out[0].reshape(*self.batch, self.m, self.n)
        for i, ia, ib in self._pairs():
            run_gemm(K, a[ia], b[ib], y[i])

    def backward(self, K, gy):
        a, b = self.saved
        gy = gy.reshape(*self.batch, self.m, self.n)
        ga = gb = None
        if self.needs[0]:
            ga = K.empty((*self.batch_a, self.m, self.k), gy.dtype)
            b = b.reshape(*self.batch_b, self.k, self.n)
            terms = ((gy[i], b[ib], ia) for i, ia, ib in self._pairs())
            _add_products(K, terms, ga, trans_b=True)
            ga = ga.reshape(self.shapes[0])
        if self.needs[1]:
            gb = K.empty((*self.batch_b, self.k, self.n), gy.dtype)
            a = a.reshape(*self.batch_a, self.m, self.k)
            terms = ((a[ia], gy[i], ib) for i, ia, ib in self._pairs())
            _add_products(K, terms, gb, trans_a=True)
            gb = gb.reshape(self.shapes[1])
        return ga, gb


def _add_products(K, terms, target, trans_a=False, trans_b=False):
    """target[i] = sum of left @ right over the terms (left, right, i); no term leaves 0."""
    summand, written = None, set()
    for left, right, i in terms:
        if i not in written:
            run_gemm(K, left, right, target[i], trans_a, trans_b)
            written.add(i)
            continue
        if summand is None:
            summand = K.empty(target.shape[-2:], target.dtype)
        run_gemm(K, left, right, summand, trans_a, trans_b)
        K.add(target[i], summand, target[i], IDENTITY)
    if not written:
        target[...] = 0


def run_gemm(K, a, b, c, trans_a=False, trans_b=False, epilogue=NO_EPILOGUE):
    """c = epilogue(op(a) @ op(b)) with the scratch that the kernel asks for."""
    depth = a.shape[0] if trans_a else a.shape[1]
    nbytes = K.gemm_workspace(*c.shape, depth, c.dtype)
    K.gemm(a, b, c, trans_a, trans_b, K.empty((nbytes,), "uint8") if nbytes else None, epilogue)


@function
def matmul(a, b):
    """a (..., m, k) times b (..., k, n) gives (..., m, n); also a @ b. Raises ShapeError,
    DTypeError."""
    return Matmul()(a, b)
