"""The truth: every table function in plain NumPy or CuPy, as its formula reads.

xp is numpy or cupy, taken from the arrays. Arrays are contiguous, activations NHWC, weights OHWI.
Every function writes into the arrays it is given (`y`, `gx`, ...). float32 and float64 are computed
in their own precision; float16 and bfloat16 are computed in float32 and rounded once at the end.
This file is the kernel table: backend/cpu.py and backend/cuda.py have the same functions with the
same signatures (a test compares them).

Convolution is explicit im2col and one matrix product per group, in blocks that stay in the cache;
depthwise is one multiply-add per window tap. Gradients by the input walk the window taps and add
strided slices: nothing is scattered, and the order of every sum outside BLAS is fixed.
"""

import functools
import math
from typing import NamedTuple

import numpy

from fastconv.backend.arrays import array_module
from fastconv.backend.candidate import Candidate
from fastconv.backend.philox import uniform
from fastconv.backend.problem import NO_EPILOGUE
from fastconv.errors import ShapeError

NAME = "reference"

# Bytes handled at once: NumPy wants its temporaries in the cache (measured), a GPU few launches.
COLUMN_BYTES = {"numpy": 8 << 20, "cupy": 256 << 20}  # im2col matrix
BLOCK_BYTES = {"numpy": 1 << 20, "cupy": 256 << 20}  # operand of an element-wise chain

# inf and NaN are values here, as in the kernels: computed with, not warned about
_ieee = numpy.errstate(all="ignore")


# ---- memory


def empty(shape, dtype, xp=numpy):
    """Uninitialised contiguous array."""
    return xp.empty(shape, dtype)


def set_writeable(a, writeable):
    """Lock an array that empty() made, or unlock it."""
    a.flags.writeable = writeable


class _Scratch:
    """Arrays cut out of the workspace. What that was not sized for (a prologue, the larger blocks
    on a GPU) comes from the array library."""

    ALIGNMENT = 64

    def __init__(self, xp, workspace):
        self.xp, self.workspace, self.used = xp, workspace, 0

    def take(self, shape, dtype):
        nbytes = math.prod(shape) * dtype.itemsize
        end = self.used + nbytes
        if self.workspace is None or end > self.workspace.size:
            return self.xp.empty(shape, dtype)
        a = self.workspace[self.used : end].view(dtype).reshape(shape)
        self.used = -(-end // self.ALIGNMENT) * self.ALIGNMENT
        return a


# ---- precision, views, blocks


def _precision(dtype):
    """The dtype that arithmetic is done in."""
    return numpy.dtype(numpy.float32) if dtype.itemsize < 4 else numpy.dtype(dtype)


def _load(a, dtype):
    return None if a is None else a.astype(dtype, copy=False)


def _open(y):
    """y itself, or where it is a half type a float32 array that _close rounds into it."""
    return y if y.dtype.itemsize >= 4 else array_module(y).empty(y.shape, numpy.float32)


def _close(y, t):
    if t is not y:
        y[...] = t


def _rows(a):
    """(rows, channels) view."""
    return None if a is None else a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def _flat(a):
    return None if a is None else a.reshape(a.size)


def _part(a, block):
    return None if a is None else a[block]


def _blocks(xp, count, item_bytes):
    """Slices that cover range(count), each of about BLOCK_BYTES."""
    step = max(1, BLOCK_BYTES[xp.__name__] // max(1, item_bytes))
    return [slice(i, min(i + step, count)) for i in range(0, count, step)]


def _row_blocks(a):
    """Blocks of the first axis of a."""
    itemsize = _precision(a.dtype).itemsize
    return _blocks(array_module(a), len(a), math.prod(a.shape[1:]) * itemsize)


# ---- activations: y = f(x), where y may be x; gx = g * f'(v) for v = y or x, as act.saves says


def _erfc(xp, z):
    """erfc(z) for z >= 0, relative error below 1e-15 beside the argument's rounding.

    Cody 1969, "Rational Chebyshev approximations for the error function", Math. Comp. 23, 631-637:
    1 - z A(z^2)/B(z^2) on [0, 0.46875]; exp(-z^2) C(z)/D(z) to 4; beyond, with v = 1/z^2,
    exp(-z^2)/z (1/sqrt(pi) - v P(v)/Q(v)).
    """
    small, middle, large = (
        xp.minimum(z, 0.5),
        xp.minimum(xp.maximum(z, 0.4), 4.0),
        xp.minimum(xp.maximum(z, 4.0), 30.0),
    )
    u = small * small
    near = 1 - small * (_horner(ERF_A, u) / _horner(ERF_B, u))
    v = 1 / (large * large)
    tail = (0.5641895835477562869 - v * (_horner(ERF_P, v) / _horner(ERF_Q, v))) / large
    far = xp.where(z <= 4, _horner(ERF_C, middle) / _horner(ERF_D, middle), tail)
    # exp(-z^2) with z^2 split into an exact part and a small rest, else its rounding is magnified
    z = xp.minimum(z, 30.0)
    head = xp.floor(z * 16) / 16
    far *= xp.exp(-head * head) * xp.exp((head - z) * (head + z))
    return xp.where(z <= 0.46875, near, far)


def _horner(coefficients, x):
    """Polynomial with the highest power first."""
    value = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        value *= x
        value += c
    return value


ERF_A = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
         3.77485237685302021e2, 3.20937758913846947e3)  # fmt: skip
ERF_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
         2.84423683343917062e3)  # fmt: skip
ERF_C = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
         6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
         1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3)  # fmt: skip
ERF_D = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
         1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
         3.43936767414372164e3, 1.23033935480374942e3)  # fmt: skip
ERF_P = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
         1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4)  # fmt: skip
ERF_Q = (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1,
         6.05183413124413191e-2, 2.33520497626869185e-3)  # fmt: skip


def _keep(xp, mask, g, out):
    """out = g where mask, else 0, by the bits of g: numpy.where mispredicts its branch there."""
    bits = xp.int32 if g.dtype.itemsize == 4 else xp.int64
    xp.bitwise_and(g.view(bits), -mask.view(xp.int8), out=out.view(bits))


def _normal_cdf(xp, x):
    half = 0.5 * _erfc(xp, xp.abs(x) * math.sqrt(0.5))
    return xp.where(x < 0, half, 1 - half)


def _gelu_slope(xp, x):
    density = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return _normal_cdf(xp, x) + x * density


def _silu_slope(xp, x):
    s = 1 / (1 + xp.exp(-x))
    return s * (1 + x * (1 - s))


FORWARD = {
    "identity": lambda xp, x, y, a, b: xp.copyto(y, x),
    "relu": lambda xp, x, y, a, b: xp.maximum(x, 0, out=y),
    "relu6": lambda xp, x, y, a, b: xp.minimum(xp.maximum(x, 0, out=y), 6, out=y),
    "leaky_relu": lambda xp, x, y, a, b: xp.add(xp.maximum(x, 0), a * xp.minimum(x, 0), out=y),
    "elu": lambda xp, x, y, a, b: xp.add(xp.maximum(x, 0), a * xp.expm1(xp.minimum(x, 0)), out=y),
    "silu": lambda xp, x, y, a, b: xp.divide(x, 1 + xp.exp(-x), out=y),
    "hardswish": lambda xp, x, y, a, b: xp.divide(
        x * xp.minimum(xp.maximum(x + 3, 0), 6), 6, out=y
    ),
    "hardsigmoid": lambda xp, x, y, a, b: xp.divide(xp.minimum(xp.maximum(x + 3, 0), 6), 6, out=y),
    "gelu": lambda xp, x, y, a, b: xp.multiply(x, _normal_cdf(xp, x), out=y),
    "sigmoid": lambda xp, x, y, a, b: xp.divide(1, 1 + xp.exp(-x), out=y),
    "tanh": lambda xp, x, y, a, b: xp.tanh(x, out=y),
    "scaled_tanh": lambda xp, x, y, a, b: xp.multiply(xp.tanh(b * x), a, out=y),
}

GRADIENT = {
    "identity": lambda xp, g, v, gx, a, b: xp.copyto(gx, g),
    "relu": lambda xp, g, y, gx, a, b: _keep(xp, ~(y <= 0), g, gx),
    "relu6": lambda xp, g, y, gx, a, b: _keep(xp, ~((y <= 0) | (y >= 6)), g, gx),
    "leaky_relu": lambda xp, g, x, gx, a, b: xp.copyto(gx, xp.where(x > 0, g, a * g)),
    "elu": lambda xp, g, x, gx, a, b: xp.copyto(
        gx, xp.where(x > 0, g, g * (a * xp.exp(xp.minimum(x, 0))))
    ),
    "silu": lambda xp, g, x, gx, a, b: xp.multiply(g, _silu_slope(xp, x), out=gx),
    "hardswish": lambda xp, g, x, gx, a, b: xp.copyto(
        gx, xp.where(x <= -3, 0, xp.where(x >= 3, g, g * (x / 3 + 0.5)))
    ),
    "hardsigmoid": lambda xp, g, x, gx, a, b: _keep(xp, (x > -3) & (x < 3), g / 6, gx),
    "gelu": lambda xp, g, x, gx, a, b: xp.multiply(g, _gelu_slope(xp, x), out=gx),
    "sigmoid": lambda xp, g, y, gx, a, b: xp.multiply(g, y * (1 - y), out=gx),
    "tanh": lambda xp, g, y, gx, a, b: xp.multiply(g, 1 - y * y, out=gx),
    "scaled_tanh": lambda xp, g, y, gx, a, b: xp.multiply(g, b * (a - y * y / a), out=gx),
}


def _activate(t, act):
    """In place."""
    if act.name != "identity":
        FORWARD[act.name](array_module(t), t, t, act.alpha, act.beta)


def _finish(acc, y, epilogue, rows):
    """y[rows] = act(acc*scale + shift + residual) for acc (len(rows), K), which is overwritten."""
    scale, shift = _load(epilogue.scale, acc.dtype), _load(epilogue.shift, acc.dtype)
    residual = _part(_rows(epilogue.residual), rows)
    y = y[rows]
    for b in _row_blocks(acc):
        t = acc[b]
        if scale is not None:
            t *= scale
        if shift is not None:
            t += shift
        if epilogue.sums is not None:
            _add_sums(t, epilogue.sums)
        if residual is not None:
            t += residual[b]
        _activate(t, epilogue.act)
        if acc.dtype != y.dtype:
            y[b] = t


def _add_sums(t, sums):
    """Adds the sum and the sum of squares over the rows of t (rows, C), in float64."""
    xp = array_module(t)
    t = t.astype(xp.float64)
    sums[0] += xp.sum(t, axis=0)
    sums[1] += xp.sum(xp.multiply(t, t, out=t), axis=0)


# ---- convolution; direction is "fwd", "dgrad" or "wgrad"


class _Plan(NamedTuple):
    """How a convolution is cut up: `images` at once, and of a single image `rows` output rows.

    staged: (groups, images, H, W, C/groups), the padded x of a block, if x itself will not do.
    columns: elements of the im2col matrix of a block.
    """

    matrix: bool  # 1x1, stride 1, unpadded: x already is the im2col matrix
    depthwise: bool
    images: int
    rows: int
    staged: tuple[int, ...] | None
    columns: int


@functools.lru_cache(4096)
def _plan(problem, direction, itemsize, convert, column_bytes, block_bytes):
    """convert: x cannot be read as it is (half type, prologue)."""
    n, h, w, c, k, r, s, p, q, stride, pad, dilation, groups = problem
    height, width = h + pad[0] + pad[1], w + pad[2] + pad[3]
    reach = (
        (p - 1) * stride[0] + (r - 1) * dilation[0],
        (q - 1) * stride[1] + (s - 1) * dilation[1],
    )
    if p and q and (reach[0] >= height or reach[1] >= width):
        raise ShapeError(
            f"conv2d: an output of {p}x{q} reads the padded input up to row {reach[0]}, column"
            f" {reach[1]}, it has {height}x{width}"
        )
    depthwise = 1 < groups == c
    matrix = (r, s) == (1, 1) and stride == (1, 1) and not any(pad) and not depthwise
    staging = direction != "dgrad" and (
        convert or (depthwise and k > c) or (not depthwise and (groups > 1 or any(pad)))
    )
    in_place = matrix and not staging  # the operands of the product are whole arrays
    row_bytes = max(1, itemsize * q * (k if depthwise else c * r * s))
    if in_place:
        images, rows = max(1, n), p
    else:
        at_once = (block_bytes if depthwise else column_bytes) // row_bytes
        images, rows = max(1, min(n, at_once // max(1, p))), max(1, min(p, at_once))
    staged = columns = None
    if staging and depthwise:
        staged = (1, images, h, w, k)
    elif staging:
        staged = (groups, images, height, width, c // groups)
    columns = 0 if matrix or depthwise else images * rows * q * c * r * s
    return _Plan(matrix, depthwise, images, rows, staged, columns)


def _plan_for(xp, problem, direction, dtype, prologue=None):
    itemsize, name = _precision(dtype).itemsize, xp.__name__
    convert = dtype.itemsize < 4 or prologue is not None
    return _plan(problem, direction, itemsize, convert, COLUMN_BYTES[name], BLOCK_BYTES[name])


def conv2d_algorithms(problem, direction, dtype):
    """Names of the algorithms that fit, best first. The reference has one: "reference" """
    return (NAME,)


def conv2d_choose(problem, direction, dtype, precision, packed=False):
    """Pure and cached: the algorithm for this problem; precision "ieee", "default" or "tf32";
    packed: packing w costs nothing, as the packed copy is kept."""
    return NAME


def conv2d_candidates(problem, direction, dtype, precision, packed=False):
    """What conv2d_choose chooses from: candidate.Candidate, the best first."""
    return (Candidate(NAME),)


def conv2d_workspace(problem, direction, algorithm, dtype, packed=False):
    """Bytes of scratch memory that the kernel needs beside its arguments (an int); packed: fwd is
    given packed weights."""
    dtype = numpy.dtype(dtype)
    plan = _plan_for(numpy, problem, direction, dtype)
    sizes = [math.prod(plan.staged or (0,)), plan.columns]
    if direction == "wgrad" and not plan.depthwise:
        sizes.append(math.prod(problem.w_shape))
    itemsize, line = _precision(dtype).itemsize, _Scratch.ALIGNMENT
    return sum(-(-size * itemsize // line) * line for size in sizes)


class _Block(NamedTuple):
    images: slice
    first: int  # output rows first .. last-1
    last: int


def _cut(problem, plan):
    """The blocks of a convolution: images or rows of one, so that a block of y is contiguous."""
    for i in range(0, problem.n, plan.images):
        for first in range(0, problem.p, plan.rows):
            yield _Block(
                slice(i, min(i + plan.images, problem.n)),
                first,
                min(first + plan.rows, problem.p),
            )


def _grouped(a, groups):
    """(..., C) as (groups, ..., C/groups), a view."""
    a = a.reshape(*a.shape[:-1], groups, a.shape[-1] // groups)
    return a.transpose(a.ndim - 2, *range(a.ndim - 2), a.ndim - 1)


def _block_rows(a, block, groups):
    """a (N, P, Q, K) in a block, as (groups, rows, K/groups)."""
    part = a[block.images, block.first : block.last]
    return _grouped(_rows(part), groups)


def _matrix(w, groups):
    """w (K, R, S, C/groups) as (groups, K/groups, R*S*C/groups), a view."""
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def _matmul(a, b, out):
    """out[g] = a[g] @ b[g]: one BLAS call per group."""
    xp = array_module(out)
    if len(out) == 1:
        xp.matmul(a[0], b[0], out=out[0])
    else:
        xp.matmul(a, b, out=out)


class _Input:
    """x as the convolution reads it: prologue applied, padded, groups apart, widened."""

    def __init__(self, x, problem, plan, scratch, dtype, prologue):
        self.x, self.problem, self.plan, self.prologue = x, problem, plan, prologue
        self.dtype, self.images, self.current = dtype, None, None
        self.stage = None if plan.staged is None else scratch.take(plan.staged, dtype)
        if self.stage is not None and not plan.depthwise:
            self.stage[...] = 0  # the border; the middle is written block by block
        self.columns = scratch.take((plan.columns,), dtype) if plan.columns else None

    def read(self, block):
        """(groups, images, H, W, C/groups), padded unless depthwise."""
        if block.images == self.images:
            return self.current
        self.images, pr = block.images, self.problem
        x = self.x[block.images]
        if self.prologue is not None:
            x = x.astype(self.dtype) * _load(self.prologue.scale, self.dtype)
            x += _load(self.prologue.shift, self.dtype)
            _activate(x, self.prologue.act)
        if self.stage is None:
            self.current = x[None]
        elif self.plan.depthwise:
            self.current = self.stage[:, : len(x)]
            repeated = self.current.reshape(*x.shape, pr.k // pr.c)
            repeated[...] = x[..., None]
        else:
            self.current = self.stage[:, : len(x)]
            top, left = pr.pad[0], pr.pad[2]
            inside = self.current[:, :, top : top + pr.h, left : left + pr.w]
            inside[...] = _grouped(x, pr.groups)
        return self.current

    def matrix(self, block):
        """The im2col matrix of a block: (groups, images*rows*Q, R*S*C/groups)."""
        x, pr = self.read(block), self.problem
        shape = (
            *(pr.groups, x.shape[1], block.last - block.first),
            *(pr.q, pr.r, pr.s, pr.c // pr.groups),
        )
        flat = (shape[0], math.prod(shape[1:4]), math.prod(shape[4:]))
        if self.plan.matrix:
            return x[:, :, block.first : block.last].reshape(flat)
        g, n, h, w, c = x.strides
        (dh, dw), (sh, sw) = pr.dilation, pr.stride
        windows = array_module(x).lib.stride_tricks.as_strided(
            x[:, :, block.first * sh :], shape, (g, n, sh * h, sw * w, dh * h, dw * w, c)
        )
        columns = self.columns[: math.prod(shape)]
        columns.reshape(shape)[...] = windows
        return columns.reshape(flat)


def _tap(i, size, first, last, stride, pad, dilation):
    """Outputs of first..last-1 whose tap i is inside the input: (slice of them, input slice)."""
    start = i * dilation - pad
    low = max(first, -(start // stride))
    high = min(last, (size - 1 - start) // stride + 1)
    if high <= low:
        return slice(0, 0), slice(0, 0)
    return (
        slice(low - first, high - first),
        slice(low * stride + start, (high - 1) * stride + start + 1, stride),
    )


def _taps(pr, first=0, last=None):
    """(r, s, output rows, output columns, input rows, input columns) for every window tap."""
    last = pr.p if last is None else last
    for r in range(pr.r):
        out_h, in_h = _tap(r, pr.h, first, last, pr.stride[0], pr.pad[0], pr.dilation[0])
        for s in range(pr.s):
            out_w, in_w = _tap(s, pr.w, 0, pr.q, pr.stride[1], pr.pad[2], pr.dilation[1])
            yield r, s, out_h, out_w, in_h, in_w


class _Depthwise:
    """Per tap one product of slices into scratch memory and one sum from it."""

    def __init__(self, xp, problem, plan, dtype):
        self.problem = problem
        self.product = xp.empty((plan.images * plan.rows * problem.q * problem.k,), dtype)

    def weights(self, w):
        """(R, S, Q, K): repeated along Q, so that an image row is one long contiguous product."""
        xp, pr = array_module(w), self.problem
        w = w.reshape(pr.k, pr.r, pr.s).transpose(1, 2, 0)[:, :, None]
        return xp.ascontiguousarray(xp.broadcast_to(w, (pr.r, pr.s, pr.q, pr.k)))

    def multiply(self, a, b):
        xp = array_module(a)
        product = self.product[: a.size].reshape(a.shape)
        return xp.multiply(a, b, out=product)


def conv2d_packed_elements(problem, algorithm, dtype):
    """Elements of w in the layout that conv2d_fwd reads; 0 where it reads w itself (as here)."""
    return 0


def conv2d_pack(w, problem, algorithm, packed):
    """Fill packed, conv2d_packed_elements(...) of w's dtype, which may then go to conv2d_fwd."""


@_ieee
def conv2d_fwd(
    x, w, y, problem, algorithm, workspace, epilogue=NO_EPILOGUE, prologue=None, packed=None
):
    """y = epilogue(conv(prologue(x), w)).
    workspace: uint8 array of conv2d_workspace(...) bytes or None where that is 0.
    packed: what conv2d_pack made of w, or None."""
    xp, dtype, groups = array_module(y), _precision(y.dtype), problem.groups
    plan = _plan_for(xp, problem, "fwd", y.dtype, prologue)
    source = _Input(x, problem, plan, _Scratch(xp, workspace), dtype, prologue)
    if plan.depthwise:
        depthwise = _Depthwise(xp, problem, plan, dtype)
        wide = depthwise.weights(_load(w, dtype))
    else:
        matrix = _matrix(_load(w, dtype), groups).transpose(0, 2, 1)
    if epilogue.sums is not None:
        epilogue.sums[...] = 0
    out = _rows(y)
    for block in _cut(problem, plan):
        acc = _open(y[block.images, block.first : block.last])
        if plan.depthwise:
            xb = source.read(block)[0]
            acc[...] = 0
            for r, s, ph, pw, ih, iw in _taps(problem, block.first, block.last):
                sub = acc[:, ph, pw]
                sub += depthwise.multiply(xb[:, ih, iw], wide[r, s, pw])
        else:
            _matmul(source.matrix(block), matrix, _grouped(_rows(acc), groups))
        start = (block.images.start * problem.p + block.first) * problem.q
        acc = _rows(acc)
        _finish(acc, out, epilogue, slice(start, start + len(acc)))


@_ieee
def conv2d_dgrad(gy, w, gx, problem, algorithm, workspace):
    """gx[n,h,w,c] = sum over (p,q,r,s,k) that touch it of gy[n,p,q,k] * w[k,r,s,c]."""
    xp, dtype, pr = array_module(gx), _precision(gx.dtype), problem
    plan = _plan_for(xp, pr, "dgrad", gx.dtype)
    if plan.depthwise:
        depthwise = _Depthwise(xp, pr, plan, dtype)
        wide = depthwise.weights(_load(w, dtype))
    else:
        matrix = _matrix(_load(w, dtype), pr.groups)
        columns = _Scratch(xp, workspace).take((plan.columns,), dtype) if plan.columns else None
    if not pr.p * pr.q:
        gx[...] = 0
    for block in _cut(pr, plan):
        if block.first == 0:
            acc = _open(gx[block.images])
            if not plan.matrix:
                acc[...] = 0
        if plan.depthwise:
            g = _load(gy[block.images, block.first : block.last], dtype)
            for r, s, ph, pw, ih, iw in _taps(pr, block.first, block.last):
                product = depthwise.multiply(g[:, ph, pw], wide[r, s, pw])
                sub = acc[:, ih, iw]
                for m in range(pr.k // pr.c):
                    sub += product[..., m :: pr.k // pr.c]
        elif plan.matrix:
            g = _load(_block_rows(gy, block, pr.groups), dtype)
            target = acc[:, block.first : block.last]
            _matmul(g, matrix, _grouped(_rows(target), pr.groups))
        else:
            g = _load(_block_rows(gy, block, pr.groups), dtype)
            shape = (pr.groups, g.shape[1], matrix.shape[2])
            product = columns[: math.prod(shape)].reshape(shape)
            _matmul(g, matrix, product)
            product = product.reshape(
                *(pr.groups, len(acc), block.last - block.first),
                *(pr.q, pr.r, pr.s, pr.c // pr.groups),
            )
            target = _grouped(acc, pr.groups)
            for r, s, ph, pw, ih, iw in _taps(pr, block.first, block.last):
                sub = target[:, :, ih, iw]
                sub += product[:, :, ph, pw, r, s]
        if block.last == pr.p:
            _close(gx[block.images], acc)


@_ieee
def conv2d_wgrad(x, gy, gw, problem, algorithm, workspace, prologue=None):
    """gw[k,r,s,c] = sum_{n,p,q} gy[n,p,q,k] * prologue(x)[n, p*stride+r*dilation-pad, ...]."""
    xp, dtype, pr = array_module(gw), _precision(gw.dtype), problem
    plan = _plan_for(xp, pr, "wgrad", gw.dtype, prologue)
    scratch = _Scratch(xp, workspace)
    source = _Input(x, pr, plan, scratch, dtype, prologue)
    acc = _open(gw)
    acc[...] = 0
    if plan.depthwise:
        depthwise = _Depthwise(xp, pr, plan, dtype)
    else:
        total = _matrix(acc, pr.groups)
        partial = scratch.take(total.shape, dtype)
    for block in _cut(pr, plan):
        if plan.depthwise:
            xb = source.read(block)[0]
            g = _load(gy[block.images, block.first : block.last], dtype)
            for r, s, ph, pw, ih, iw in _taps(pr, block.first, block.last):
                product = depthwise.multiply(g[:, ph, pw], xb[:, ih, iw])
                n, rows, columns, k = product.shape
                # whole image rows first: long sums instead of many of K elements
                line = xp.sum(product.reshape(n * rows, columns * k), axis=0)
                acc[:, r, s, 0] += xp.sum(line.reshape(columns, k), axis=0)
        else:
            g = _load(_block_rows(gy, block, pr.groups), dtype).transpose(0, 2, 1)
            _matmul(g, source.matrix(block), partial)
            total += partial
    _close(gw, acc)


# ---- matrix product


def gemm_workspace(m, n, k, dtype):
    """Bytes of scratch memory for gemm (an int)."""
    return 0


@_ieee
def gemm(a, b, c, trans_a, trans_b, workspace, epilogue=NO_EPILOGUE):
    """c (m,n) = epilogue(op(a) (m,k) @ op(b) (k,n)); 2-D.
    a is (k,m) if trans_a, b is (n,k) if trans_b. epilogue scale and shift run along n."""
    acc = _open(c)
    a, b = _load(a, acc.dtype), _load(b, acc.dtype)
    array_module(c).matmul(a.T if trans_a else a, b.T if trans_b else b, out=acc)
    if epilogue.sums is not None:
        epilogue.sums[...] = 0
    _finish(acc, c, epilogue, slice(0, len(c)))


# ---- per-channel reductions (over every axis but the last; order fixed by the shape alone)


@_ieee
def channel_sum(x, y):
    """y[c] = sum x[..., c]   (bias gradients)"""
    xp, rows = array_module(x), _rows(x)
    total = xp.zeros(y.shape, xp.float64)
    for b in _row_blocks(rows):
        total += xp.sum(rows[b], axis=0, dtype=xp.float64)
    y[...] = total


@_ieee
def channel_stats(x, sums):
    """sums[0,c] = sum x, sums[1,c] = sum x^2; float64 (2, C), accumulated in float64."""
    sums[...] = 0
    rows = _rows(x)
    for b in _row_blocks(rows):
        _add_sums(rows[b], sums)


# ---- pooling


def _image_blocks(*arrays):
    """Blocks of images; the largest array decides."""
    return _row_blocks(max(arrays, key=lambda a: a.size))


@_ieee
def max_pool2d_fwd(x, y, argmax, problem):
    """argmax: None, or array of y's shape that receives r*S+s of the first maximum in row order
    (uint8 if r*s <= 256, else int32). NaN wins, as in NumPy. Padding never wins."""
    xp, pr, dtype = array_module(x), problem, _precision(x.dtype)
    for b in _image_blocks(x, y):
        xb, best = _load(x[b], dtype), _open(y[b])
        best[...] = -math.inf
        for _, _, ph, pw, ih, iw in _taps(pr):
            sub = best[:, ph, pw]
            xp.maximum(sub, xb[:, ih, iw], out=sub)
        if argmax is not None:
            winner, last = argmax[b], pr.r * pr.s - 1
            winner[...] = last
            for r, s, ph, pw, ih, iw in _taps(pr):
                value, sub = xb[:, ih, iw], winner[:, ph, pw]
                won = (value == best[:, ph, pw]) | (value != value)
                tap = won.astype(sub.dtype)
                tap *= sub.dtype.type(last - r * pr.s - s)
                xp.minimum(sub, last - tap, out=sub)  # the tap where it won, else the last
        _close(y[b], best)


@_ieee
def max_pool2d_bwd(gy, argmax, gx, problem):
    """gx[n,h,w,c] = sum of gy over the windows whose maximum it is."""
    xp, pr, dtype = array_module(gx), problem, _precision(gx.dtype)
    for b in _image_blocks(gy, gx):
        g, winner, acc = _load(gy[b], dtype), argmax[b], _open(gx[b])
        acc[...] = 0
        for r, s, ph, pw, ih, iw in _taps(pr):
            part, sub = g[:, ph, pw], acc[:, ih, iw]
            won = xp.empty(part.shape, dtype)
            _keep(xp, winner[:, ph, pw] == r * pr.s + s, part, won)
            sub += won
        _close(gx[b], acc)


def _window_sizes(pr, count_include_pad, dtype, xp):
    """(P, Q, 1): how many taps of each window lie inside the input, or inside the padded input."""

    def count(outputs, window, stride, before, size, after, dilation):
        at = numpy.arange(outputs)[:, None] * stride - before + numpy.arange(window) * dilation
        inside = at < size + after if count_include_pad else (at >= 0) & (at < size)
        return numpy.maximum(1, inside.sum(axis=1))

    top, bottom, left, right = pr.pad
    rows = count(pr.p, pr.r, pr.stride[0], top, pr.h, bottom, pr.dilation[0])
    columns = count(pr.q, pr.s, pr.stride[1], left, pr.w, right, pr.dilation[1])
    return xp.asarray((rows[:, None] * columns)[:, :, None], dtype=dtype)


@_ieee
def avg_pool2d_fwd(x, y, problem, count_include_pad):
    """Divisor: the window clipped to the padded input (count_include_pad) or to the input, as torch
    does with ceil_mode."""
    dtype = _precision(x.dtype)
    sizes = _window_sizes(problem, count_include_pad, dtype, array_module(x))
    for b in _image_blocks(x, y):
        xb, acc = _load(x[b], dtype), _open(y[b])
        acc[...] = 0
        for _, _, ph, pw, ih, iw in _taps(problem):
            sub = acc[:, ph, pw]
            sub += xb[:, ih, iw]
        acc /= sizes
        _close(y[b], acc)


@_ieee
def avg_pool2d_bwd(gy, gx, problem, count_include_pad):
    """gx[n,h,w,c] = sum over the windows that hold it of gy / divisor."""
    dtype = _precision(gx.dtype)
    sizes = _window_sizes(problem, count_include_pad, dtype, array_module(gx))
    for b in _image_blocks(gy, gx):
        g, acc = _load(gy[b], dtype) / sizes, _open(gx[b])
        acc[...] = 0
        for _, _, ph, pw, ih, iw in _taps(problem):
            sub = acc[:, ih, iw]
            sub += g[:, ph, pw]
        _close(gx[b], acc)


def _adaptive_windows(shape, out_shape):
    """(p, q, rows, columns) with rows floor(p*H/P) .. ceil((p+1)*H/P)."""
    (_, h, w, _), (_, p, q, _) = shape, out_shape
    for i in range(p):
        rows = slice(i * h // p, -(-(i + 1) * h // p))
        for j in range(q):
            yield i, j, rows, slice(j * w // q, -(-(j + 1) * w // q))


@_ieee
def adaptive_avg_pool2d_fwd(x, y):
    """Window of output p: rows floor(p*H/P) .. ceil((p+1)*H/P). P = Q = 1: global average."""
    xp, dtype = array_module(x), _precision(x.dtype)
    t = _open(y)
    for p, q, rows, columns in _adaptive_windows(x.shape, y.shape):
        window = x[:, rows, columns]
        size = max(1, window.shape[1] * window.shape[2])
        t[:, p, q] = xp.sum(window, axis=(1, 2), dtype=dtype) / size
    _close(y, t)


@_ieee
def adaptive_avg_pool2d_bwd(gy, gx):
    """gx[n,h,w,c] = sum over the windows that hold it of gy / (window size)."""
    acc = _open(gx)
    acc[...] = 0
    for p, q, rows, columns in _adaptive_windows(gx.shape, gy.shape):
        sub = acc[:, rows, columns]
        g = _load(gy[:, p, q], acc.dtype)
        sub += (g / max(1, sub.shape[1] * sub.shape[2]))[:, None, None]
    _close(gx, acc)


def adaptive_max_pool2d_fwd(x, y, argmax):
    """argmax: None or int32 array of y's shape: h*W + w of the first maximum."""
    xp, dtype = array_module(x), _precision(x.dtype)
    for p, q, rows, columns in _adaptive_windows(x.shape, y.shape):
        window = _load(x[:, rows, columns], dtype)
        n, h, w, c = window.shape
        if not window.size:
            continue
        window = window.reshape(n, h * w, c)
        if argmax is None:
            y[:, p, q] = window.max(axis=1)
            continue
        at = window.argmax(axis=1)
        y[:, p, q] = xp.take_along_axis(window, at[:, None], axis=1)[:, 0]
        argmax[:, p, q] = (at // w + rows.start) * x.shape[2] + at % w + columns.start


@_ieee
def adaptive_max_pool2d_bwd(gy, argmax, gx):
    """gx[n,h,w,c] = sum of gy over the windows whose maximum it is."""
    xp = array_module(gx)
    acc = _open(gx)
    acc[...] = 0
    position = xp.arange(gx.shape[1] * gx.shape[2]).reshape(1, gx.shape[1], gx.shape[2], 1)
    for p, q, rows, columns in _adaptive_windows(gx.shape, gy.shape):
        won = argmax[:, p, q][:, None, None] == position[:, rows, columns]
        sub = acc[:, rows, columns]
        sub += xp.where(won, _load(gy[:, p, q], acc.dtype)[:, None, None], 0)
    _close(gx, acc)


# ---- norms


@_ieee
def batch_norm_prepare(sums, count, mean, rstd, running_mean, running_var, momentum, eps):
    """mean = sums[0]/count; biased var = sums[1]/count - mean^2 (float64, not below 0);
    rstd = 1/sqrt(var+eps). Where running_mean/var are not None they are updated in place:
    (1-momentum)*old + momentum*new, with the unbiased variance var*count/(count-1) (count 1: the
    biased one).
    count 0: mean 0, variance 0, and the running statistics stay."""
    xp = array_module(sums)
    center = sums[0] / max(1, count)
    var = xp.maximum(sums[1] / max(1, count) - center * center, 0)
    mean[...] = center
    rstd[...] = 1 / xp.sqrt(var + eps)
    if count and running_mean is not None:
        running_mean[...] = (1 - momentum) * running_mean + momentum * center
    if count and running_var is not None:
        unbiased = var * (count / max(1, count - 1))
        running_var[...] = (1 - momentum) * running_var + momentum * unbiased


@_ieee
def batch_norm_fold(mean, var, gamma, beta, b, eps, scale, shift):
    """What is left of batch norm with running statistics behind a convolution with bias b:
    scale = gamma / sqrt(var+eps); shift = beta + (b - mean) * scale, in float64, rounded once.
    gamma, beta and b may be None; shift too, and is then not wanted."""
    xp, double = array_module(scale), numpy.float64
    factor = 1 / xp.sqrt(var.astype(double) + eps)
    if gamma is not None:
        factor *= gamma
    scale[...] = factor
    if shift is not None:
        offset = (0 if b is None else b.astype(double)) - mean.astype(double)
        shift[...] = offset * factor + (0 if beta is None else beta)


def _batch_norm(x, mean, rstd, gamma, beta, residual, out):
    """out = (x - mean) * (gamma*rstd) + beta + residual for one block of rows."""
    array_module(x).subtract(x, mean, out=out)
    out *= rstd if gamma is None else gamma * rstd
    if beta is not None:
        out += beta
    if residual is not None:
        out += _load(residual, out.dtype)


@_ieee
def batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act):
    """y = act((x - mean) * (gamma*rstd) + beta + residual); gamma, beta, residual may be None."""
    dtype = _precision(y.dtype)
    mean, rstd, gamma, beta = (_load(a, dtype) for a in (mean, rstd, gamma, beta))
    x, residual, y = _rows(x), _rows(residual), _rows(y)
    for b in _row_blocks(y):
        t = _open(y[b])
        _batch_norm(_load(x[b], dtype), mean, rstd, gamma, beta, _part(residual, b), t)
        _activate(t, act)
        _close(y[b], t)


@_ieee
def batch_norm_bwd(
    gy, x, y, residual, gamma, beta, mean, rstd, act, training, gx, ggamma, gbeta, gresidual
):
    """gz = gy * act'(.) from y (x then None only if not needed), or from the recomputed
    pre-activation where act.saves == "x", or y is None, which takes an act.at_x.
    gbeta = sum gz; ggamma = sum gz*xhat; gresidual = gz;
    training: gx = gamma*rstd*(gz - gbeta/m - xhat*ggamma/m); else gx = gamma*rstd*gz.
    Outputs that are None are not wanted; gx may not be gy."""
    xp, dtype = array_module(gy), _precision(gy.dtype)
    mean, rstd, gamma, beta = (_load(a, dtype) for a in (mean, rstd, gamma, beta))
    gy, x, y, residual, gx, gresidual = (_rows(a) for a in (gy, x, y, residual, gx, gresidual))
    blocks = _row_blocks(gy)
    through = gx is not None and training  # the gradient through mean and variance
    at_x = y is None or act.saves == "x"

    # one block each, used again and again: fresh memory would cost more than the arithmetic
    height = blocks[0].stop if blocks else 0
    gz_block, work_block = xp.empty((2, height, gy.shape[1]), dtype)

    def gz_of(b, work):
        g, gz = _load(gy[b], dtype), gz_block[: b.stop - b.start]
        if act.name == "identity":
            return g
        saved = work if at_x else _load(y[b], dtype)
        if at_x:
            xb, rb = _load(x[b], dtype), _part(residual, b)
            _batch_norm(xb, mean, rstd, gamma, beta, rb, saved)
        GRADIENT[act.name](xp, g, saved, gz, act.alpha, act.beta)
        return gz

    slope = rstd if gamma is None else gamma * rstd
    sum_gz = xp.zeros(gy.shape[1], xp.float64)
    sum_gz_xhat = xp.zeros(gy.shape[1], xp.float64)
    for b in blocks:
        work = work_block[: b.stop - b.start]
        gz = gz_of(b, work)
        if through or gbeta is not None:
            sum_gz += xp.sum(gz, axis=0)
        if through or ggamma is not None:
            xp.subtract(_load(x[b], dtype), mean, out=work)
            work *= rstd
            work *= gz
            sum_gz_xhat += xp.sum(work, axis=0)
        if gresidual is not None:
            gresidual[b] = gz
        if gx is not None and not training:
            gx[b] = xp.multiply(gz, slope, out=work)
    if gbeta is not None:
        gbeta[...] = sum_gz
    if ggamma is not None:
        ggamma[...] = sum_gz_xhat
    if not through:
        return

    # gx = slope*gz - offset - (x - mean)*tilt, with everything per channel worked out beforehand
    m = max(1, len(gy))
    offset = slope * (sum_gz / m).astype(dtype)
    tilt = slope * rstd * (sum_gz_xhat / m).astype(dtype)
    for b in blocks:
        work = work_block[: b.stop - b.start]
        gz = xp.multiply(gz_of(b, work), slope, out=gz_block[: b.stop - b.start])
        xp.subtract(_load(x[b], dtype), mean, out=work)
        work *= tilt
        gz -= work
        gx[b] = xp.subtract(gz, offset, out=gz)


@_ieee
def layer_norm_fwd(x, gamma, beta, y, mean, rstd, eps):
    """Over the last axis of the 2-D x (rows, C); mean, rstd (rows,)."""
    xp, dtype, channels = array_module(x), _precision(y.dtype), max(1, x.shape[1])
    gamma, beta = _load(gamma, dtype), _load(beta, dtype)
    for b in _row_blocks(x):
        xb, t = _load(x[b], dtype), _open(y[b])
        center = xp.sum(xb, axis=1) / channels
        xp.subtract(xb, center[:, None], out=t)
        scale = 1 / xp.sqrt(xp.sum(t * t, axis=1) / channels + eps)
        t *= scale[:, None]
        if gamma is not None:
            t *= gamma
        if beta is not None:
            t += beta
        mean[b], rstd[b] = center, scale
        _close(y[b], t)


@_ieee
def layer_norm_bwd(gy, x, gamma, mean, rstd, gx, ggamma, gbeta):
    """With g = gy*gamma: gx = rstd * (g - mean_c(g) - xhat*mean_c(g*xhat));
    ggamma = sum_rows gy*xhat; gbeta = sum_rows gy. Outputs that are None are not wanted."""
    xp, dtype, channels = array_module(gy), _precision(gy.dtype), max(1, gy.shape[1])
    gamma, mean, rstd = (_load(a, dtype) for a in (gamma, mean, rstd))
    sum_g = xp.zeros(gy.shape[1], xp.float64)
    sum_g_xhat = xp.zeros(gy.shape[1], xp.float64)
    for b in _row_blocks(gy):
        g, scale = _load(gy[b], dtype), rstd[b][:, None]
        xhat = (_load(x[b], dtype) - mean[b][:, None]) * scale
        sum_g += xp.sum(g, axis=0)
        sum_g_xhat += xp.sum(g * xhat, axis=0)
        if gx is not None:
            g = g if gamma is None else g * gamma
            tilt = xp.sum(g * xhat, axis=1)[:, None] / channels
            gx[b] = scale * (g - xp.sum(g, axis=1)[:, None] / channels - xhat * tilt)
    if ggamma is not None:
        ggamma[...] = sum_g_xhat
    if gbeta is not None:
        gbeta[...] = sum_g


def _window_sum(a, before, after):
    """out[:, c] = sum of a[:, j] over c-before <= j <= c+after, clipped to the channels."""
    channels = a.shape[1]
    out = array_module(a).zeros_like(a)
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            out[:, low:high] += a[:, low + shift : high + shift]
    return out


@_ieee
def lrn_fwd(x, y, scale, size, alpha, beta, k):
    """scale[c] = k + alpha * sum_{c-size//2 <= j <= c+(size-1)//2} x[j]^2;  y = x * scale^-beta.
    alpha multiplies the plain sum (torch's alpha is size times larger). scale may be None."""
    x, y, scale = _rows(x), _rows(y), _rows(scale)
    dtype = _precision(y.dtype)
    for b in _row_blocks(x):
        xb = _load(x[b], dtype)
        t = _window_sum(xb * xb, size // 2, (size - 1) // 2)
        t *= alpha
        t += k
        if scale is not None:
            scale[b] = t
        y[b] = xb * t**-beta


@_ieee
def lrn_bwd(gy, x, scale, gx, size, alpha, beta):
    """gx[j] = gy[j]*scale[j]^-beta
    - 2*alpha*beta*x[j] * sum_{c whose window holds j} gy[c]*x[c]*scale[c]^(-beta-1)."""
    gy, x, scale, gx = (_rows(a) for a in (gy, x, scale, gx))
    dtype = _precision(gx.dtype)
    for b in _row_blocks(x):
        g, xb, sb = (_load(a[b], dtype) for a in (gy, x, scale))
        direct = g * sb**-beta
        across = _window_sum(direct * xb / sb, (size - 1) // 2, size // 2)
        gx[b] = direct - (2 * alpha * beta) * xb * across


# ---- element-wise


@_ieee
def activation_fwd(x, y, act):
    """y = act(x), any shape; y may be x."""
    xp, dtype, x, y = array_module(x), _precision(y.dtype), _flat(x), _flat(y)
    for b in _row_blocks(y):
        t = _open(y[b])
        FORWARD[act.name](xp, _load(x[b], dtype), t, act.alpha, act.beta)
        _close(y[b], t)


@_ieee
def activation_bwd(gy, saved, gx, act):
    """saved is y or x, as act.saves says."""
    xp, dtype = array_module(gy), _precision(gx.dtype)
    gy, saved, gx = _flat(gy), _flat(saved), _flat(gx)
    for b in _row_blocks(gx):
        t = _open(gx[b])
        g, v = _load(gy[b], dtype), _load(saved[b], dtype)
        GRADIENT[act.name](xp, g, v, t, act.alpha, act.beta)
        _close(gx[b], t)


@_ieee
def add(a, b, y, act):
    """y = act(a + b), equal shapes."""
    xp, dtype, a, b, y = array_module(a), _precision(y.dtype), _flat(a), _flat(b), _flat(y)
    for block in _row_blocks(y):
        t = _open(y[block])
        xp.add(_load(a[block], dtype), _load(b[block], dtype), out=t)
        _activate(t, act)
        _close(y[block], t)


@_ieee
def dropout(x, y, p, seed, offset, group):
    """y[i] = x[i] / (1-p) if uniform(seed, offset, i // group) >= p else 0 (philox.py).
    Its own gradient."""
    xp, dtype, x, y = array_module(x), _precision(y.dtype), _flat(x), _flat(y)
    # the least multiple of 2^-24 that is >= p: exact in float32, which p itself need not be
    threshold = xp.float32(math.ceil(p * 2**24) * 2.0**-24)
    for b in _row_blocks(y):
        first, last = b.start // group, -(-b.stop // group)
        keep = uniform(seed, offset, last - first, xp, start=first) >= threshold
        if group > 1:
            keep = keep[xp.arange(b.start, b.stop) // group - first]
        scaled = _load(x[b], dtype) / xp.asarray(1 - p, dtype)
        _keep(xp, keep, scaled, scaled)
        y[b] = scaled


def channel_shuffle(x, y, groups):
    """y[..., i*groups + g] = x[..., g*(C/groups) + i]."""
    x, y = _rows(x), _rows(y)
    rows, channels = x.shape
    shuffled = y.reshape(rows, channels // groups, groups)
    shuffled[...] = x.reshape(rows, groups, channels // groups).transpose(0, 2, 1)


@_ieee
def scale_channels_fwd(x, s, y):
    """x (N,H,W,C), s (N,1,1,C): y = x * s   (squeeze-and-excitation)"""
    t = _open(y)
    array_module(x).multiply(_load(x, t.dtype), _load(s, t.dtype), out=t)
    _close(y, t)


@_ieee
def scale_channels_bwd(gy, x, s, gx, gs):
    """gx = gy*s, gs = sum_{h,w} gy*x; None where not wanted."""
    xp, dtype = array_module(gy), _precision(gy.dtype)
    for b in _row_blocks(gy):
        g = _load(gy[b], dtype)
        if gx is not None:
            gx[b] = g * _load(s[b], dtype)
        if gs is not None:
            gs[b] = xp.sum(g * _load(x[b], dtype), axis=(1, 2), keepdims=True)


# ---- resize


def _resize_axis(outputs, inputs, mode, align_corners):
    """[(weight, source index)] per output, for one axis: one entry (nearest) or two (bilinear)."""
    if mode == "nearest":
        return [[(1.0, i * inputs // outputs)] for i in range(outputs)]
    sources = []
    for i in range(outputs):
        if align_corners:
            at = i * (inputs - 1) / (outputs - 1) if outputs > 1 else 0.0
        else:
            at = max(0.0, (i + 0.5) * inputs / outputs - 0.5)
        low = min(int(at), inputs - 1)
        high = min(low + 1, inputs - 1)
        fraction = at - low if high > low else 0.0
        sources.append([(1 - fraction, low), (fraction, high)])
    return sources


def _resample(xp, a, axis, sources):
    """Weighted sum of the source slices of one axis."""
    total = None
    for taps in zip(*sources, strict=True):
        index = xp.asarray([at for _, at in taps])
        part = xp.take(a, index, axis=axis)
        if any(weight != 1 for weight, _ in taps):
            weights = xp.asarray([weight for weight, _ in taps], dtype=a.dtype)
            part *= weights.reshape(-1, *[1] * (a.ndim - 1 - axis))
        total = part if total is None else total + part
    return total


@_ieee
def resize_fwd(x, y, mode, align_corners):
    """mode "nearest" (src = floor(dst * H/P)) or "bilinear" (half-pixel centres, or align_corners),
    as torch."""
    (_, h, w, _), (_, p, q, _) = x.shape, y.shape
    if not y.size:
        return
    xp = array_module(x)
    t = _load(x, _precision(y.dtype))
    t = _resample(xp, t, 1, _resize_axis(p, h, mode, align_corners))
    y[...] = _resample(xp, t, 2, _resize_axis(q, w, mode, align_corners))


@_ieee
def resize_bwd(gy, gx, mode, align_corners):
    """The transpose of resize_fwd: every gy slice is added to the sources it was made of."""
    xp, dtype = array_module(gx), _precision(gx.dtype)
    (n, h, w, c), (_, p, q, _) = gx.shape, gy.shape
    columns = xp.zeros((n, p, w, c), dtype)
    for j, taps in enumerate(_resize_axis(q, w, mode, align_corners)):
        for weight, at in taps:
            columns[:, :, at] += _load(gy[:, :, j], dtype) * weight
    acc = _open(gx)
    acc[...] = 0
    for i, taps in enumerate(_resize_axis(p, h, mode, align_corners)):
        for weight, at in taps:
            acc[:, at] += columns[:, i] * weight
    _close(gx, acc)


# ---- softmax and losses; rows x classes, 2-D. reduction is "none", "sum" or "mean"


def _shifted(xp, x, dtype):
    """x minus the largest of its row, and that largest."""
    top = xp.max(x, axis=1, keepdims=True).astype(dtype)
    return x.astype(dtype) - top, top


@_ieee
def softmax_fwd(x, y, log):
    """y = exp(x) / sum_classes exp(x), or its logarithm; the row's maximum is taken off first."""
    if not x.size:
        return
    xp, dtype = array_module(x), _precision(y.dtype)
    for b in _row_blocks(x):
        z, _ = _shifted(xp, x[b], dtype)
        e = xp.exp(z)
        total = xp.sum(e, axis=1, keepdims=True)
        y[b] = z - xp.log(total) if log else e / total


@_ieee
def softmax_bwd(gy, y, gx, log):
    """gx = y * (gy - sum gy*y), for log: gx = gy - exp(y) * sum gy."""
    xp, dtype = array_module(gy), _precision(gx.dtype)
    for b in _row_blocks(gy):
        g, v = _load(gy[b], dtype), _load(y[b], dtype)
        if log:
            gx[b] = g - xp.exp(v) * xp.sum(g, axis=1, keepdims=True)
        else:
            gx[b] = v * (g - xp.sum(g * v, axis=1, keepdims=True))


def _reduce(values, loss, reduction):
    """The mean of no values is NaN, as torch has it."""
    if reduction == "none":
        loss[...] = values
    else:
        total = array_module(values).sum(values)
        loss[...] = total / values.size if reduction == "mean" else total


def _upstream(gloss, dtype, count, reduction):
    """Gradient of each value that _reduce took: () or, for "none", the shape of gloss."""
    g = _load(gloss, dtype)
    return g / max(1, count) if reduction == "mean" else g


@_ieee
def cross_entropy_fwd(logits, labels, loss, lse, smoothing, reduction):
    """lse (rows,) log-sum-exp, saved;
    row loss = lse - (1-smoothing)*logit[label] - smoothing*mean(logits).
    loss is () or, for "none", (rows,). The mean of no rows is NaN."""
    xp, dtype = array_module(logits), _precision(logits.dtype)
    rows, classes = logits.shape
    value = xp.zeros(rows, dtype)
    if logits.size:
        z, top = _shifted(
            xp, logits, dtype
        )  # the weights of the formula add up to 1: the shift cancels
        log_total = xp.log(xp.sum(xp.exp(z), axis=1))
        lse[...] = log_total + top[:, 0]
        value = log_total - (1 - smoothing) * z[xp.arange(rows), labels]
        if smoothing:
            value -= smoothing * (xp.sum(z, axis=1) / classes)
    _reduce(value, loss, reduction)


@_ieee
def cross_entropy_bwd(gloss, logits, labels, lse, glogits, smoothing, reduction):
    """glogits = gloss * (softmax(logits) - (1-smoothing)*onehot(label) - smoothing/classes)
    [/ rows for "mean"]."""
    xp, dtype = array_module(logits), _precision(logits.dtype)
    rows, classes = logits.shape
    t = xp.exp(_load(logits, dtype) - _load(lse, dtype)[:, None])
    t[xp.arange(rows), labels] -= 1 - smoothing
    if smoothing:
        t -= smoothing / classes
    g = _upstream(gloss, dtype, rows, reduction)
    glogits[...] = t * (g[:, None] if reduction == "none" else g)


@_ieee
def bce_with_logits_fwd(x, t, loss, reduction):
    """max(x,0) - x*t + log(1 + exp(-|x|)); any shape, equal for x and t."""
    xp, dtype = array_module(x), _precision(x.dtype)
    x, t = _load(x, dtype), _load(t, dtype)
    _reduce(xp.maximum(x, 0) - x * t + xp.log1p(xp.exp(-xp.abs(x))), loss, reduction)


@_ieee
def bce_with_logits_bwd(gloss, x, t, gx, reduction):
    """gx = gloss * (sigmoid(x) - t)  [/ size for "mean"]."""
    xp, dtype = array_module(x), _precision(x.dtype)
    slope = 1 / (1 + xp.exp(-_load(x, dtype))) - _load(t, dtype)
    gx[...] = slope * _upstream(gloss, dtype, x.size, reduction)


@_ieee
def mse_fwd(x, t, loss, reduction):
    """(x - t)^2; any shape, equal for x and t."""
    dtype = _precision(x.dtype)
    d = _load(x, dtype) - _load(t, dtype)
    _reduce(d * d, loss, reduction)


@_ieee
def mse_bwd(gloss, x, t, gx, reduction):
    """gx = 2 * gloss * (x - t)  [/ size for "mean"]. The gradient by t is its negative."""
    dtype = _precision(x.dtype)
    g = _upstream(gloss, dtype, x.size, reduction)
    gx[...] = 2 * (_load(x, dtype) - _load(t, dtype)) * g


# ---- optimizer steps over lists of arrays (in place)


@_ieee
def sgd_step(params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, first):
    """As torch: g += weight_decay*p; buf = g if first else momentum*buf + (1-dampening)*g;
    g = g + momentum*buf if nesterov else buf; p -= lr*g. momenta is None where momentum is 0."""
    for i, p in enumerate(params):
        dtype = _precision(p.dtype)
        g, value = _load(grads[i], dtype), _load(p, dtype)
        if weight_decay:
            g = g + weight_decay * value
        if momenta is not None:
            buf = momenta[i]
            buf[...] = g if first else momentum * buf.astype(dtype) + (1 - dampening) * g
            g = g + momentum * _load(buf, dtype) if nesterov else _load(buf, dtype)
        p[...] = value - lr * g


@_ieee
def adam_step(
    params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, decoupled, step
):
    """As torch's Adam (decoupled False: g += weight_decay*p) and AdamW (p *= 1 - lr*weight_decay);
    step counts from 1; denominator sqrt(v)/sqrt(1-beta2^step) + eps."""
    rate = lr / (1 - beta1**step)
    root = math.sqrt(1 - beta2**step)
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        xp, dtype = array_module(p), _precision(p.dtype)
        g, value = _load(g, dtype), _load(p, dtype)
        if weight_decay and decoupled:
            value = value * (1 - lr * weight_decay)
        elif weight_decay:
            g = g + weight_decay * value
        m[...] = beta1 * _load(m, dtype) + (1 - beta1) * g
        v[...] = beta2 * _load(v, dtype) + (1 - beta2) * (g * g)
        p[...] = value - rate * _load(m, dtype) / (xp.sqrt(_load(v, dtype)) / root + eps)
