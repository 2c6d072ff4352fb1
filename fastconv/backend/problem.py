"""Frozen descriptions of a convolution and a pooling: what `choose` decides by and kernels are
given.

Letters: N batch, H W C input rows, columns, channels; P Q K output rows, columns, channels; R S
window.
"""

from typing import Any, NamedTuple

from fastconv.backend.activation import IDENTITY, Activation

__all__ = ["NO_EPILOGUE", "Conv2dProblem", "Epilogue", "Pool2dProblem", "Prologue"]


class Conv2dProblem(NamedTuple):
    """y[n,p,q,k] = sum x[n, p*stride+r*dilation-pad, ..., c] * w[k,r,s,c], group by group."""

    n: int
    h: int
    w: int
    c: int
    k: int
    r: int
    s: int
    p: int
    q: int
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return (self.n, self.h, self.w, self.c)

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        return (self.k, self.r, self.s, self.c // self.groups)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return (self.n, self.p, self.q, self.k)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one pass; products with padding count, as the field does."""
        return self.n * self.p * self.q * self.k * self.r * self.s * (self.c // self.groups)


class Pool2dProblem(NamedTuple):
    """A window r x s that slides over x (n, h, w, c) and gives y (n, p, q, c)."""

    n: int
    h: int
    w: int
    c: int
    r: int
    s: int
    p: int
    q: int
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right
    dilation: tuple[int, int] = (1, 1)


class Prologue(NamedTuple):
    """Applied to x while it is loaded: act(x * scale[c] + shift[c]); padding stays 0."""

    scale: Any  # (C,)
    shift: Any  # (C,)
    act: Activation = IDENTITY


class Epilogue(NamedTuple):
    """Applied to the accumulator while it is stored: act(acc * scale[k] + shift[k] + residual).

    sums, if given, receives per channel the sum and the sum of squares of acc * scale + shift
    (before residual and activation): float64, shape (2, K), in an order that the problem alone
    fixes.
    """

    scale: Any = None  # (K,)
    shift: Any = None  # (K,)
    residual: Any = None  # the shape of the output
    act: Activation = IDENTITY
    sums: Any = None  # (2, K) float64


NO_EPILOGUE = Epilogue()
