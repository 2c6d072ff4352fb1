"""Convolution whose output maps read only some of the input maps: layer C3 of LeNet-5.

    y[n,p,q,k] = b[k] + sum over c in table[k], r, s of
                 x[n, p*stride+r-pad, q*stride+s-pad, c] * w[connection of k and c, r, s]

x (N, H, W, C), table[k] the input maps of output map k, w (connections, R, S) with the connections
numbered by output map, then as listed; y (N, P, Q, K). Parameters and MACs are those of the
existing connections; the kernel runs on the complete weights, zeros where there is no connection.
LeCun et al. 1998, table I.
"""

from fastconv.backend import Epilogue
from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import check_image, float_dtype, four_sides, pair
from fastconv.ops.conv2d import (
    chosen_algorithm,
    conv2d_forward,
    conv2d_problem,
    run_input_gradient,
    weight_gradient,
    workspace_bytes,
)

NAME = "partial_conv2d"


class PartialConv2d(Op):
    bilinear = (0, 1)
    autocast = "low"

    table: tuple[tuple[int, ...], ...]
    stride: tuple[int, int] = (1, 1)
    padding: str | tuple[int, int, int, int] = (0, 0, 0, 0)

    def infer(self, x, w, b=None):
        self.dtype = float_dtype(NAME, x=x, w=w, b=b)
        channels = check_image(NAME, x)[3]
        self.filters = [k for k, row in enumerate(self.table) for _ in row]
        self.maps = [c for row in self.table for c in row]
        if max(self.maps) >= channels:
            raise ShapeError(
                f"{NAME}: the table reads input map {max(self.maps)}, x {x.shape} has {channels}"
                " maps (the last axis)"
            )
        if w.ndim != 3 or w.shape[0] != len(self.maps):
            raise ShapeError(
                f"{NAME}: w must have shape ({len(self.maps)}, R, S), one window per connection of"
                f" the table, got {w.shape}"
            )
        k = len(self.table)
        if b is not None and b.shape != (k,):
            raise ShapeError(f"{NAME}: b must have shape ({k},), got {b.shape}")
        self.complete = Spec((k, *w.shape[1:], channels), self.dtype)
        self.problem = conv2d_problem(
            NAME, x, self.complete, self.stride, self.padding, (1, 1), groups=1
        )
        return (Spec(self.problem.y_shape, self.dtype),), ()

    def macs(self, x, w, *_):
        p = self.problem
        return p.n * p.p * p.q * w.size

    def saves(self, inputs, outputs, needs):
        x, w = inputs[:2]
        return (x if needs[1] else None, w if needs[0] else None)

    def kernel(self, K):
        return chosen_algorithm(K, self.problem, "fwd", self.dtype)

    def workspace(self, K, direction):
        wanted = [d for d, need in zip(("dgrad", "wgrad"), self.needs, strict=False) if need]
        if direction == "forward":
            wanted = ["fwd"]
        if not wanted:
            return 0
        scratch = max(workspace_bytes(K, self.problem, d, self.dtype) for d in wanted)
        return self.complete.nbytes + scratch

    def _completed(self, K, w):
        """(K, R, S, C) with zeros where there is no connection."""
        complete = K.empty(*self.complete[:2])
        complete[...] = 0
        complete[self.filters, :, :, self.maps] = w
        return complete

    def forward(self, K, out, aux, x, w, b=None):
        conv2d_forward(K, x, self._completed(K, w), out[0], self.problem, Epilogue(shift=b))

    def backward(self, K, gy):
        x, w = self.saved
        gx = gw = gb = None
        if self.needs[0]:
            gx = K.empty(self.problem.x_shape, gy.dtype)
            run_input_gradient(K, gy, self._completed(K, w), gx, self.problem)
        if self.needs[1]:
            complete = weight_gradient(K, x, gy, self.problem)
            gw = K.empty((len(self.maps), *self.complete.shape[1:3]), gy.dtype)
            gw[...] = complete[self.filters, :, :, self.maps]
        if len(self.needs) > 2 and self.needs[2]:
            gb = K.empty((self.problem.k,), gy.dtype)
            K.channel_sum(gy, gb)
        return (gx, gw, gb)[: len(self.needs)]


def _rows(table):
    rows = tuple(tuple(row) for row in table)
    for k, row in enumerate(rows):
        if not row or len(set(row)) != len(row) or not all(isinstance(c, int) for c in row):
            raise ArgumentError(f"{NAME}: table[{k}] must list different input maps, got {row}")
        if min(row) < 0:
            raise ArgumentError(f"{NAME}: table[{k}] must not hold negative maps, got {row}")
    if not rows:
        raise ArgumentError(f"{NAME}: the table has no output map")
    return rows


@function(images=("x",))
def partial_conv2d(x, w, b, table, stride=1, padding=0):
    """x (N, H, W, C), w (connections, R, S), b (K,) or None -> (N, P, Q, K).

    table: per output map the input maps that it reads; connections are numbered in that order.
    padding as conv2d. Raises ShapeError, DTypeError, ArgumentError.
    """
    return PartialConv2d(
        _rows(table), pair(stride, f"{NAME}: stride"), four_sides(padding, f"{NAME}: padding")
    )(x, w, b)
