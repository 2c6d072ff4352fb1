"""The reference backend against loops over its formulas, in float64 at sizes that loops can do.

Integer-valued inputs must agree to the bit. Block sizes are also set so small that every loop over
blocks runs more than once.
"""

import inspect
import itertools
import math
import re

import ml_dtypes
import numpy as np
import pytest

from fastconv.backend import reference as ref
from fastconv.backend.activation import ACTIVATIONS, IDENTITY, Activation
from fastconv.backend.philox import uniform
from fastconv.backend.problem import (
    NO_EPILOGUE,
    Conv2dProblem,
    Epilogue,
    Pool2dProblem,
    Prologue,
)
from fastconv.errors import ShapeError

RELU, SILU = Activation("relu"), Activation("silu")
CONSTANTS = {"leaky_relu": (0.1,), "elu": (1.3,), "scaled_tanh": (1.7159, 2 / 3)}
ALL_ACTIVATIONS = [Activation(name, *CONSTANTS.get(name, ())) for name in ACTIVATIONS]


@pytest.fixture(params=["usual blocks", "tiny blocks"])
def blocks(request, monkeypatch):
    if request.param == "tiny blocks":
        monkeypatch.setitem(ref.COLUMN_BYTES, "numpy", 600)
        monkeypatch.setitem(ref.BLOCK_BYTES, "numpy", 200)


def integers(rng, shape, dtype=np.float64):
    return rng.integers(-3, 4, shape).astype(dtype)


def assert_close(a, b, tolerance=1e-12):
    np.testing.assert_allclose(
        np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance
    )


def slope_along(f, x, direction, h=1e-5):
    """d f(x + t*direction) / dt at 0, by the five-point formula, for a scalar f in float64."""
    a, b, c, d = (f(x + t * h * direction) for t in (-2, -1, 1, 2))
    return (a - 8 * b + 8 * c - d) / (12 * h)


def out_size(size, window, stride, before, after, dilation):
    return (size + before + after - dilation * (window - 1) - 1) // stride + 1


def conv(n, h, w, c, k, r, s, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    p = out_size(h, r, stride[0], pad[0], pad[1], dilation[0])
    q = out_size(w, s, stride[1], pad[2], pad[3], dilation[1])
    return Conv2dProblem(n, h, w, c, k, r, s, p, q, stride, pad, dilation, groups)


def pool(n, h, w, c, r, s, stride, pad=(0, 0, 0, 0), dilation=(1, 1), extra=(0, 0)):
    """extra: rows and columns of output that ceil_mode adds."""
    p = out_size(h, r, stride[0], pad[0], pad[1], dilation[0]) + extra[0]
    q = out_size(w, s, stride[1], pad[2], pad[3], dilation[1]) + extra[1]
    return Pool2dProblem(n, h, w, c, r, s, p, q, stride, pad, dilation)


CONVOLUTIONS = {
    "1x1": conv(2, 3, 4, 5, 6, 1, 1),
    "1x1 groups": conv(2, 3, 4, 6, 4, 1, 1, groups=2),
    "1x1 stride": conv(2, 5, 4, 3, 2, 1, 1, stride=(2, 3)),
    "1x1 padded": conv(1, 2, 3, 2, 3, 1, 1, pad=(1, 0, 2, 1)),
    "3x3": conv(2, 5, 6, 3, 4, 3, 3),
    "3x3 same": conv(3, 4, 5, 2, 3, 3, 3, pad=(1, 1, 1, 1)),
    "asymmetric": conv(2, 5, 4, 2, 3, 3, 2, stride=(2, 1), pad=(0, 1, 2, 0)),
    "dilated": conv(1, 7, 8, 2, 2, 3, 2, pad=(2, 1, 0, 3), dilation=(2, 3)),
    "groups": conv(2, 4, 5, 6, 9, 3, 3, stride=(1, 2), pad=(1, 1, 1, 1), groups=3),
    "depthwise": conv(2, 5, 4, 3, 3, 3, 3, pad=(1, 1, 1, 1), groups=3),
    "depthwise stride": conv(2, 6, 5, 4, 4, 3, 2, stride=(2, 2), pad=(0, 1, 1, 0), groups=4),
    "depthwise multiplier": conv(2, 4, 4, 2, 6, 2, 3, pad=(1, 0, 1, 1), dilation=(2, 1), groups=2),
    "rows unread": conv(1, 6, 7, 2, 3, 2, 2, stride=(4, 5)),
    "window is the input": conv(2, 3, 2, 4, 5, 3, 2),
    "window higher than the input": conv(1, 2, 3, 1, 1, 3, 3),
    "empty batch": conv(0, 4, 4, 2, 3, 3, 3, pad=(1, 1, 1, 1)),
    "empty batch depthwise": conv(0, 4, 4, 2, 2, 3, 3, groups=2),
    "empty batch 1x1": conv(0, 4, 4, 2, 3, 1, 1),
}
every_convolution = pytest.mark.parametrize("pr", CONVOLUTIONS.values(), ids=CONVOLUTIONS)


def conv_terms(pr):
    """((n,p,q,k), (n,h,w,c), (k,r,s,i)) of every product that the formula sums."""
    per_group, filters = pr.c // pr.groups, pr.k // pr.groups
    axes = (pr.n, pr.p, pr.q, pr.k, pr.r, pr.s, per_group)
    for n, p, q, k, r, s, i in itertools.product(*map(range, axes)):
        h = p * pr.stride[0] + r * pr.dilation[0] - pr.pad[0]
        w = q * pr.stride[1] + s * pr.dilation[1] - pr.pad[2]
        if 0 <= h < pr.h and 0 <= w < pr.w:
            yield (n, p, q, k), (n, h, w, k // filters * per_group + i), (k, r, s, i)


def loop_fwd(x, w, pr):
    y = np.zeros(pr.y_shape)
    for iy, ix, iw in conv_terms(pr):
        y[iy] += float(x[ix]) * float(w[iw])
    return y


def workspace(pr, direction, dtype):
    """A workspace of exactly the size asked for, and the bytes behind it, which must stay 0xAB."""
    size = ref.conv2d_workspace(pr, direction, "reference", np.dtype(dtype))
    assert isinstance(size, int)
    memory = np.full(size + 64, 0xAB, np.uint8)
    return (memory[:size] if size else None), memory[size:]


def run_fwd(x, w, pr, epilogue=NO_EPILOGUE, prologue=None):
    y = np.full(pr.y_shape, 77, x.dtype)
    work, guard = workspace(pr, "fwd", x.dtype)
    ref.conv2d_fwd(x, w, y, pr, "reference", work, epilogue, prologue)
    assert (guard == 0xAB).all()
    return y


def run_dgrad(gy, w, pr):
    gx = np.full(pr.x_shape, 77, gy.dtype)
    work, guard = workspace(pr, "dgrad", gy.dtype)
    ref.conv2d_dgrad(gy, w, gx, pr, "reference", work)
    assert (guard == 0xAB).all()
    return gx


def run_wgrad(x, gy, pr, prologue=None):
    gw = np.full(pr.w_shape, 77, gy.dtype)
    work, guard = workspace(pr, "wgrad", gy.dtype)
    ref.conv2d_wgrad(x, gy, gw, pr, "reference", work, prologue)
    assert (guard == 0xAB).all()
    return gw


@every_convolution
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_convolution_and_both_gradients_equal_loops(rng, blocks, pr, dtype):
    x, w, gy = (integers(rng, s, dtype) for s in (pr.x_shape, pr.w_shape, pr.y_shape))
    y, gx, gw = loop_fwd(x, w, pr), np.zeros(pr.x_shape), np.zeros(pr.w_shape)
    for iy, ix, iw in conv_terms(pr):
        gx[ix] += float(gy[iy]) * float(w[iw])
        gw[iw] += float(gy[iy]) * float(x[ix])
    assert np.array_equal(run_fwd(x, w, pr), y.astype(dtype))
    assert np.array_equal(run_dgrad(gy, w, pr), gx.astype(dtype))
    assert np.array_equal(run_wgrad(x, gy, pr), gw.astype(dtype))


@every_convolution
def test_gradients_are_adjoint_to_the_convolution(rng, blocks, pr):
    x, w, gy = (rng.standard_normal(s) for s in (pr.x_shape, pr.w_shape, pr.y_shape))
    product = np.vdot(run_fwd(x, w, pr), gy)
    assert_close(np.vdot(x, run_dgrad(gy, w, pr)), product)
    assert_close(np.vdot(w, run_wgrad(x, gy, pr)), product)


@every_convolution
@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_prologue_and_epilogue_equal_separate_steps(rng, blocks, pr, dtype):
    x, w, gy = (integers(rng, s, dtype) for s in (pr.x_shape, pr.w_shape, pr.y_shape))
    residual = integers(rng, pr.y_shape, dtype)
    scale, shift = integers(rng, pr.k, np.float32), integers(rng, pr.k, np.float32)
    prologue = Prologue(integers(rng, pr.c, np.float32), integers(rng, pr.c, np.float32), RELU)
    sums = np.full((2, pr.k), 77.0)

    y = run_fwd(x, w, pr, Epilogue(scale, shift, residual, RELU, sums), prologue)
    read = np.maximum(x.astype(float) * prologue.scale + prologue.shift, 0)
    z = loop_fwd(read, w, pr) * scale + shift
    assert np.array_equal(y, np.maximum(z + residual, 0).astype(dtype))
    assert np.array_equal(sums, [z.sum((0, 1, 2)), (z * z).sum((0, 1, 2))])

    gw = np.zeros(pr.w_shape)
    for iy, ix, iw in conv_terms(pr):
        gw[iw] += float(gy[iy]) * read[ix]
    assert np.array_equal(run_wgrad(x, gy, pr, prologue), gw.astype(dtype))


@every_convolution
def test_the_workspace_is_large_enough(monkeypatch, blocks, pr):
    taken, take = [], ref._Scratch.take

    def watched(self, shape, dtype):
        a = take(self, shape, dtype)
        taken.append(a.size == 0 or np.shares_memory(a, self.workspace))
        return a

    monkeypatch.setattr(ref._Scratch, "take", watched)
    for dtype in (np.float64, np.float32, np.float16):
        x, w, gy = (np.ones(s, dtype) for s in (pr.x_shape, pr.w_shape, pr.y_shape))
        run_fwd(x, w, pr)
        run_dgrad(gy, w, pr)
        run_wgrad(x, gy, pr)
    assert all(taken)


def halves(rng, *shapes):
    return [(rng.standard_normal(s) + 0.5).astype(np.float16) for s in shapes]


@every_convolution
def test_half_convolutions_compute_in_float32_and_round_once(rng, blocks, pr):
    x, w, gy = halves(rng, pr.x_shape, pr.w_shape, pr.y_shape)
    wide_x, wide_w, wide_gy = (a.astype(np.float32) for a in (x, w, gy))
    for half, wide in (
        (run_fwd(x, w, pr), run_fwd(wide_x, wide_w, pr)),
        (run_dgrad(gy, w, pr), run_dgrad(wide_gy, wide_w, pr)),
        (run_wgrad(x, gy, pr), run_wgrad(wide_x, wide_gy, pr)),
    ):
        assert half.dtype == np.float16
        # float32 sums in two orders, then half a unit in the last place of float16
        assert_close(half, wide, 2.0**-11 * 1.01)


HALF_CALLS = {
    "avg_pool": lambda a, b, c, s, small, y: ref.avg_pool2d_fwd(
        a, small, pool(2, 5, 4, 6, 3, 3, (1, 1)), True
    ),
    "batch_norm": lambda a, b, c, s, small, y: ref.batch_norm_apply(a, c, c, c, c, b, y, SILU),
    "layer_norm": lambda a, b, c, s, small, y: ref.layer_norm_fwd(
        a.reshape(40, 6), c, c, y.reshape(40, 6), np.empty(40), np.empty(40), 1e-5
    ),
    "lrn": lambda a, b, c, s, small, y: ref.lrn_fwd(a, y, None, 3, 0.1, 0.75, 1.0),
    "activation": lambda a, b, c, s, small, y: ref.activation_fwd(a, y, SILU),
    "add": lambda a, b, c, s, small, y: ref.add(a, b, y, SILU),
    "resize": lambda a, b, c, s, small, y: ref.resize_fwd(a, small, "bilinear", False),
    "softmax": lambda a, b, c, s, small, y: ref.softmax_fwd(
        a.reshape(40, 6), y.reshape(40, 6), False
    ),
    "adaptive": lambda a, b, c, s, small, y: ref.adaptive_avg_pool2d_fwd(a, small),
    "gemm": lambda a, b, c, s, small, y: ref.gemm(
        a.reshape(40, 6), b.reshape(40, 6), y.reshape(40, 6)[:6], True, False, None
    ),
    "scale": lambda a, b, c, s, small, y: ref.scale_channels_fwd(a, s, y),
}


@pytest.mark.parametrize("call", HALF_CALLS.values(), ids=HALF_CALLS)
def test_half_results_are_those_of_float32_rounded_once(rng, call):
    inputs = halves(rng, (2, 5, 4, 6), (2, 5, 4, 6), 6, (2, 1, 1, 6))
    results = []
    for dtype in (np.float16, np.float32):
        small, y = np.zeros((2, 3, 2, 6), dtype), np.zeros((2, 5, 4, 6), dtype)
        call(*(a.astype(dtype) for a in inputs), small, y)
        results.append(np.concatenate([small.ravel(), y.ravel()]).astype(np.float16))
    assert results[0].any()
    assert np.array_equal(*results)


def test_an_output_beyond_the_padded_input_is_refused():
    pr = conv(1, 4, 4, 1, 1, 3, 3)._replace(p=3)
    with pytest.raises(ShapeError, match=r"3x2 reads the padded input up to row 4.* it has 4x4"):
        run_fwd(np.ones(pr.x_shape), np.ones(pr.w_shape), pr)


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("shape", [(3, 5, 4), (0, 2, 3), (2, 3, 0)])
def test_gemm(rng, blocks, trans_a, trans_b, shape):
    m, n, k = shape
    a, b = integers(rng, (m, k)), integers(rng, (k, n))
    scale, shift, residual = integers(rng, n), integers(rng, n), integers(rng, (m, n))
    c, sums = np.full((m, n), 77.0), np.full((2, n), 77.0)
    stored = (
        np.ascontiguousarray(t.T) if trans else t for t, trans in ((a, trans_a), (b, trans_b))
    )
    ref.gemm(*stored, c, trans_a, trans_b, None, Epilogue(scale, shift, residual, RELU, sums))
    z = np.array([[sum(a[i, t] * b[t, j] for t in range(k)) for j in range(n)] for i in range(m)])
    z = z.reshape(m, n) * scale + shift
    assert np.array_equal(c, np.maximum(z + residual, 0))
    assert np.array_equal(sums, [z.sum(0), (z * z).sum(0)])


def test_channel_reductions(rng, blocks):
    x = integers(rng, (2, 3, 4, 5), np.float32)
    y, sums = np.empty(5, np.float32), np.empty((2, 5))
    ref.channel_sum(x, y)
    ref.channel_stats(x, sums)
    rows = x.astype(np.float64).reshape(-1, 5)
    assert np.array_equal(y, rows.sum(0))
    assert np.array_equal(sums, [rows.sum(0), (rows**2).sum(0)])


def test_channel_stats_accumulate_in_float64():
    x = np.full((1, 1, 3, 1), 1.0, np.float32)
    x[0, 0, 0, 0] = 2.0**26
    sums = np.empty((2, 1))
    ref.channel_stats(x, sums)
    assert sums.tolist() == [[2.0**26 + 2], [2.0**52 + 2]]


POOLS = {
    "2x2": pool(2, 4, 6, 3, 2, 2, (2, 2)),
    "3x3 overlapping, padded": pool(2, 5, 6, 2, 3, 3, (2, 1), (1, 1, 1, 1)),
    "ceil": pool(1, 5, 6, 2, 2, 3, (2, 2), (0, 0, 1, 1), extra=(1, 1)),
    "ceil, input only padded before": pool(1, 6, 6, 2, 3, 3, (2, 2), (1, 1, 1, 1), extra=(1, 0)),
    "dilated": pool(1, 7, 6, 2, 2, 3, (1, 2), (1, 0, 0, 1), dilation=(3, 2)),
    "gaps": pool(1, 7, 7, 2, 2, 1, (3, 4)),
    "a window in padding only": pool(1, 1, 3, 2, 2, 2, (1, 1), (1, 1, 0, 0), dilation=(2, 1)),
    "empty batch": pool(0, 4, 4, 2, 2, 2, (2, 2)),
}  # fmt: skip
every_pool = pytest.mark.parametrize("pr", POOLS.values(), ids=POOLS)


def windows(pr):
    """(n, p, q, c), [(tap, (n, h, w, c)) inside the input], taps inside the padded input."""
    for n, p, q, c in itertools.product(*map(range, (pr.n, pr.p, pr.q, pr.c))):
        inside, padded = [], 0
        for r, s in itertools.product(range(pr.r), range(pr.s)):
            h = p * pr.stride[0] + r * pr.dilation[0] - pr.pad[0]
            w = q * pr.stride[1] + s * pr.dilation[1] - pr.pad[2]
            padded += h < pr.h + pr.pad[1] and w < pr.w + pr.pad[3]
            if 0 <= h < pr.h and 0 <= w < pr.w:
                inside.append((r * pr.s + s, (n, h, w, c)))
        yield (n, p, q, c), inside, padded


def first_maximum(values):
    """Position of the first NaN, else of the first largest value."""
    nans = [i for i, v in enumerate(values) if math.isnan(v)]
    return nans[0] if nans else values.index(max(values))


@every_pool
@pytest.mark.parametrize("fill", ["integers", "with nan", "mostly -inf"])
@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_max_pool(rng, blocks, pr, fill, dtype):
    x = integers(rng, (pr.n, pr.h, pr.w, pr.c), dtype)
    if fill == "with nan":
        x[rng.random(x.shape) < 0.1] = np.nan
    elif fill == "mostly -inf":
        x[rng.random(x.shape) < 0.8] = -np.inf
    shape = (pr.n, pr.p, pr.q, pr.c)
    gy = integers(rng, shape, dtype)
    expected, taps, gradient = np.full(shape, -np.inf), np.full(shape, -1), np.zeros(x.shape)
    for i, inside, _ in windows(pr):
        if inside:
            tap, at = inside[first_maximum([float(x[at]) for _, at in inside])]
            expected[i], taps[i] = x[at], tap
            gradient[at] += float(gy[i])

    y, plain, argmax = np.empty(shape, dtype), np.empty(shape, dtype), np.empty(shape, np.uint8)
    gx = np.full(x.shape, 77, dtype)
    ref.max_pool2d_fwd(x, y, argmax, pr)
    ref.max_pool2d_fwd(x, plain, None, pr)
    ref.max_pool2d_bwd(gy, argmax, gx, pr)
    assert np.array_equal(y.astype(float), expected, equal_nan=True)
    assert np.array_equal(plain.astype(float), expected, equal_nan=True)
    covered = taps >= 0  # a window in the padding alone has no maximum
    assert np.array_equal(argmax[covered], taps[covered])
    assert np.array_equal(gx.astype(float), gradient)


def test_max_pool_window_of_more_than_256_taps(rng):
    pr = pool(1, 17, 17, 2, 17, 17, (1, 1))
    x = rng.permutation(17 * 17 * 2).reshape(1, 17, 17, 2).astype(np.float64)
    y, argmax = np.empty((1, 1, 1, 2)), np.empty((1, 1, 1, 2), np.int32)
    ref.max_pool2d_fwd(x, y, argmax, pr)
    assert argmax[0, 0, 0].tolist() == x.reshape(289, 2).argmax(0).tolist()


@every_pool
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_average_pool(rng, blocks, pr, count_include_pad):
    x, shape = integers(rng, (pr.n, pr.h, pr.w, pr.c)), (pr.n, pr.p, pr.q, pr.c)
    gy, expected, gradient = rng.standard_normal(shape), np.zeros(shape), np.zeros(x.shape)
    for i, inside, padded in windows(pr):
        size = max(1, padded if count_include_pad else len(inside))
        expected[i] = sum(x[at] for _, at in inside) / size
        for _, at in inside:
            gradient[at] += gy[i] / size
    y, gx = np.empty(shape), np.full(x.shape, 77.0)
    ref.avg_pool2d_fwd(x, y, pr, count_include_pad)
    ref.avg_pool2d_bwd(gy, gx, pr, count_include_pad)
    assert np.array_equal(y, expected)
    assert_close(gx, gradient)


@pytest.mark.parametrize("n", [2, 0])
@pytest.mark.parametrize(("size", "out"), [((5, 7), (3, 2)), ((4, 4), (1, 1)), ((2, 3), (5, 3))])
def test_adaptive_pools(rng, n, size, out):
    (h, w), (p, q), c = size, out, 3
    x, gy = integers(rng, (n, h, w, c)), rng.standard_normal((n, p, q, c))
    mean, top, at = np.zeros((n, p, q, c)), np.zeros((n, p, q, c)), np.zeros((n, p, q, c), int)
    mean_gx, top_gx = np.zeros(x.shape), np.zeros(x.shape)
    for i in itertools.product(range(n), range(p), range(q), range(c)):
        rows = range(math.floor(i[1] * h / p), math.ceil((i[1] + 1) * h / p))
        columns = range(math.floor(i[2] * w / q), math.ceil((i[2] + 1) * w / q))
        cells = [(i[0], a, b, i[3]) for a in rows for b in columns]
        values = [x[cell] for cell in cells]
        best = cells[first_maximum(values)]
        mean[i] = sum(values) / len(cells)
        top[i], at[i] = x[best], best[1] * w + best[2]
        top_gx[best] += gy[i]
        for cell in cells:
            mean_gx[cell] += gy[i] / len(cells)
    y, argmax, gx = np.empty(mean.shape), np.empty(mean.shape, np.int32), np.full(x.shape, 77.0)
    ref.adaptive_avg_pool2d_fwd(x, y)
    assert np.array_equal(y, mean)
    ref.adaptive_avg_pool2d_bwd(gy, gx)
    assert_close(gx, mean_gx)
    for index in (None, argmax):
        y[...] = 77
        ref.adaptive_max_pool2d_fwd(x, y, index)
        assert np.array_equal(y, top)
    assert np.array_equal(argmax, at)
    ref.adaptive_max_pool2d_bwd(gy, argmax, gx)
    assert_close(gx, top_gx)


def test_batch_norm_prepare():
    rows = np.array([[1.0, -2.0], [3.0, 5.0], [4.0, 0.0]])
    sums = np.stack([rows.sum(0), (rows**2).sum(0)])
    mean, rstd, old_mean, old_var = np.empty(2), np.empty(2), np.ones(2), np.full(2, 2.0)
    ref.batch_norm_prepare(sums, 3, mean, rstd, old_mean, old_var, 0.25, 1e-3)
    assert_close(mean, rows.mean(0))
    assert_close(rstd, 1 / np.sqrt(rows.var(0) + 1e-3))
    assert_close(old_mean, 0.75 + 0.25 * rows.mean(0))
    assert_close(old_var, 1.5 + 0.25 * rows.var(0, ddof=1))

    one, var = np.array([[3.0], [9.0]]), np.ones(1)
    ref.batch_norm_prepare(one, 1, np.empty(1), np.empty(1), None, var, 0.25, 1e-3)
    assert var.tolist() == [0.75]  # of one value: the biased variance, 0
    cancelled = np.array([[3e8], [3e16 * (1 - 1e-15)]])
    ref.batch_norm_prepare(cancelled, 3, np.empty(1), rstd[:1], None, None, 0.25, 1e-3)
    assert rstd[0] == 1 / math.sqrt(1e-3)  # never a negative variance


def test_batch_norm_of_an_empty_batch():
    x, channels = np.empty((0, 2, 2, 3)), np.ones(3)
    sums, mean, rstd, running = np.empty((2, 3)), np.empty(3), np.empty(3), np.full(3, 5.0)
    ref.channel_stats(x, sums)
    ref.batch_norm_prepare(sums, 0, mean, rstd, running, running, 0.1, 1e-5)
    ref.batch_norm_apply(x, mean, rstd, channels, channels, None, np.empty(x.shape), RELU)
    gbeta = np.full(3, 77.0)
    ref.batch_norm_bwd(
        *(x, x, x, None, channels, channels, mean, rstd, RELU, True),
        *(np.empty(x.shape), np.empty(3), gbeta, None),
    )
    assert mean.tolist() == gbeta.tolist() == [0, 0, 0]
    assert running.tolist() == [5, 5, 5]


@pytest.mark.parametrize("act", [IDENTITY, RELU, SILU], ids=lambda act: act.name)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_and_its_gradients(rng, blocks, act, training, with_residual, affine):
    shape, c, eps = (2, 3, 2, 4), 4, 1e-5
    inputs = {"x": rng.standard_normal(shape) * 2 + 3}
    if affine:
        inputs.update(gamma=rng.standard_normal(c), beta=rng.standard_normal(c))
    if with_residual:
        inputs["residual"] = rng.standard_normal(shape)
    gy, fixed = rng.standard_normal(shape), (rng.standard_normal(c), rng.random(c) + 0.5)

    def forward(x, gamma=None, beta=None, residual=None):
        if training:
            sums, mean, rstd = np.empty((2, c)), np.empty(c), np.empty(c)
            ref.channel_stats(x, sums)
            ref.batch_norm_prepare(sums, x.size // c, mean, rstd, None, None, 0.1, eps)
        else:
            mean, rstd = fixed
        y = np.empty(shape)
        ref.batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act)
        return y, mean, rstd

    y, mean, rstd = forward(**inputs)
    rows = inputs["x"].reshape(-1, c)
    expected_mean, expected_var = (rows.mean(0), rows.var(0)) if training else (mean, None)
    expected_rstd = 1 / np.sqrt(expected_var + eps) if training else rstd
    z = (inputs["x"] - expected_mean) * expected_rstd * inputs.get("gamma", 1)
    z = z + inputs.get("beta", 0) + inputs.get("residual", 0)
    assert_close(
        y, {"identity": z, "relu": np.maximum(z, 0), "silu": z / (1 + np.exp(-z))}[act.name]
    )

    grads = {"x": np.empty(shape), "gamma": np.empty(c), "beta": np.empty(c)}
    grads["residual"] = np.empty(shape) if with_residual else None
    gamma, beta, residual = (inputs.get(name) for name in ("gamma", "beta", "residual"))
    saved = y if act.saves == "y" else None
    ref.batch_norm_bwd(
        *(gy, inputs["x"], saved, residual, gamma, beta, mean, rstd, act, training),
        *(grads["x"], grads["gamma"], grads["beta"], grads["residual"]),
    )
    for name, value in inputs.items():
        direction = rng.standard_normal(value.shape)

        def loss(changed, name=name):
            return np.vdot(forward(**{**inputs, name: changed})[0], gy)

        assert_close(np.vdot(grads[name], direction), slope_along(loss, value, direction), 1e-7)

    alone = np.empty(shape)  # outputs that are not wanted change nothing
    ref.batch_norm_bwd(
        *(gy, inputs["x"], saved, residual, gamma, beta, mean, rstd, act, training),
        *(alone, None, None, None),
    )
    assert np.array_equal(alone, grads["x"])


def test_layer_norm(rng, blocks):
    x, gamma, beta, gy = (rng.standard_normal(s) for s in ((5, 6), 6, 6, (5, 6)))

    def forward(x, gamma, beta):
        y, mean, rstd = np.empty((5, 6)), np.empty(5), np.empty(5)
        ref.layer_norm_fwd(x, gamma, beta, y, mean, rstd, 1e-3)
        return y, mean, rstd

    y, mean, rstd = forward(x, gamma, beta)
    centred = x - x.mean(1, keepdims=True)
    assert_close(y, centred / np.sqrt(x.var(1, keepdims=True) + 1e-3) * gamma + beta)
    grads = [np.empty((5, 6)), np.empty(6), np.empty(6)]
    ref.layer_norm_bwd(gy, x, gamma, mean, rstd, *grads)
    inputs = [x, gamma, beta]
    for i, grad in enumerate(grads):
        direction = rng.standard_normal(grad.shape)

        def loss(changed, i=i):
            return np.vdot(forward(*inputs[:i], changed, *inputs[i + 1 :])[0], gy)

        assert_close(np.vdot(grad, direction), slope_along(loss, inputs[i], direction), 1e-7)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12])
def test_local_response_norm(rng, blocks, size):
    x, gy, alpha, beta, k = (
        rng.standard_normal((2, 1, 2, 7)),
        rng.standard_normal((2, 1, 2, 7)),
        *((0.2, 0.75, 1.5)),
    )

    def forward(x, scale=None):
        y = np.empty(x.shape)
        ref.lrn_fwd(x, y, scale, size, alpha, beta, k)
        return y

    scale, expected = np.empty(x.shape), np.empty(x.shape)
    for c in range(7):
        window = x[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        expected[..., c] = x[..., c] * (k + alpha * (window**2).sum(-1)) ** -beta
    assert_close(forward(x, scale), expected)
    gx, direction = np.empty(x.shape), rng.standard_normal(x.shape)
    ref.lrn_bwd(gy, x, scale, gx, size, alpha, beta)
    slope = slope_along(lambda x: np.vdot(forward(x), gy), x, direction)
    assert_close(np.vdot(gx, direction), slope, 1e-8)


FORMULAS = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.1 * x,
    "elu": lambda x: x if x > 0 else 1.3 * math.expm1(x),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "hardswish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "hardsigmoid": lambda x: min(max(x + 3, 0.0), 6.0) / 6,
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "scaled_tanh": lambda x: 1.7159 * math.tanh(x * 2 / 3),
}


@pytest.mark.parametrize("act", ALL_ACTIVATIONS, ids=lambda act: act.name)
def test_activations(rng, blocks, act):
    f = FORMULAS[act.name]
    x = np.concatenate([rng.standard_normal(200) * 4, [0.0, 3, -3, 6, 40, -40]]).reshape(2, 103)
    expected = np.array([f(v) for v in x.ravel()]).reshape(x.shape)
    y, in_place = np.empty(x.shape), x.copy()
    ref.activation_fwd(x, y, act)
    ref.activation_fwd(in_place, in_place, act)
    np.testing.assert_allclose(y, expected, rtol=3e-15, atol=1e-15)
    assert np.array_equal(in_place, y)
    narrow = np.empty(x.shape, np.float16)
    ref.activation_fwd(x.astype(np.float16), narrow, act)
    assert_close(narrow, [[f(float(v)) for v in row] for row in x.astype(np.float16)], 2e-3)

    # away from the kinks, where a difference quotient has no meaning
    x = x[(np.abs(x) > 0.01) & (np.abs(np.abs(x) - 3) > 0.01) & (np.abs(x - 6) > 0.01)]
    x = x[np.abs(x) < 30]
    gy, gx, y = rng.standard_normal(x.shape), np.empty(x.shape), np.empty(x.shape)
    ref.activation_fwd(x, y, act)
    ref.activation_bwd(gy, y if act.saves == "y" else x, gx, act)
    slopes = [slope_along(f, float(v), 1.0, 1e-4) for v in x]
    assert_close(gx, gy * slopes, 1e-9)


@pytest.mark.parametrize("act", ALL_ACTIVATIONS, ids=lambda act: act.name)
def test_activations_carry_nan_and_bear_huge_inputs(act):
    x, y = np.array([np.nan, 1e30, -1e30, 0.0], np.float32), np.empty(4, np.float32)
    ref.activation_fwd(x, y, act)
    assert np.isnan(y[0]) and not np.isnan(y[1:]).any()


def test_erf_is_accurate_to_the_last_digits():
    z = np.concatenate([np.linspace(0, 27, 5001), [0.46875, np.nextafter(0.46875, 1), 4.0]])
    expected = np.array([math.erfc(v) for v in z])
    value = ref._erfc(np, z.copy())
    assert np.abs(value - expected).max() < 1e-15
    normal = expected > 1e-300
    assert (np.abs(value - expected)[normal] / expected[normal]).max() < 1e-14


def test_add(rng, blocks):
    a, b, y = integers(rng, (2, 3, 4)), integers(rng, (2, 3, 4)), np.empty((2, 3, 4))
    ref.add(a, b, y, RELU)
    assert np.array_equal(y, np.maximum(a + b, 0))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.7, 1.0])
@pytest.mark.parametrize("group", [1, 4, 30])
def test_dropout(rng, blocks, p, group):
    x, y = rng.standard_normal((4, 5, 6)), np.empty((4, 5, 6))
    ref.dropout(x, y, p, 2**40 + 3, 9, group)
    u = uniform(2**40 + 3, 9, 120, np)
    expected = [v / (1 - p) if u[i // group] >= p else 0 for i, v in enumerate(x.ravel())]
    assert np.array_equal(y.ravel(), expected)
    assert p in (0, 1) or group == 30 or 0 < (y == 0).sum() < 120


def test_dropout_compares_with_p_itself_not_with_p_rounded_to_float32(monkeypatch):
    below = np.float32(0.7)  # rounds 0.7 down, so it is less than p
    assert float(below) < 0.7
    monkeypatch.setattr(ref, "uniform", lambda *a, **k: np.array([below, 0.75], np.float32))
    y = np.empty(2)
    ref.dropout(np.ones(2), y, 0.7, 0, 0, 1)
    assert y[0] == 0 and y[1] > 0


def test_channel_shuffle(rng):
    x, y = integers(rng, (2, 3, 1, 6)), np.empty((2, 3, 1, 6))
    ref.channel_shuffle(x, y, 3)
    for g, i in itertools.product(range(3), range(2)):
        assert np.array_equal(y[..., i * 3 + g], x[..., g * 2 + i])


def test_scale_channels(rng, blocks):
    x, gy, s = integers(rng, (2, 3, 2, 4)), integers(rng, (2, 3, 2, 4)), integers(rng, (2, 1, 1, 4))
    y, gx, gs = np.empty(x.shape), np.empty(x.shape), np.empty(s.shape)
    ref.scale_channels_fwd(x, s, y)
    ref.scale_channels_bwd(gy, x, s, gx, None)
    ref.scale_channels_bwd(gy, x, s, None, gs)
    assert np.array_equal(y, x * s)
    assert np.array_equal(gx, gy * s)
    assert np.array_equal(gs, (gy * x).sum((1, 2), keepdims=True))


def resize_taps(i, inputs, outputs, mode, align_corners):
    if mode == "nearest":
        return [(1.0, math.floor(i * inputs / outputs))]
    if align_corners:
        at = i * (inputs - 1) / (outputs - 1) if outputs > 1 else 0.0
    else:
        at = max(0.0, (i + 0.5) * inputs / outputs - 0.5)
    low = math.floor(at)
    return [(1 - (at - low), low), (at - low, min(low + 1, inputs - 1))]


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bilinear align_corners"])
@pytest.mark.parametrize("out", [(8, 6), (2, 5), (1, 1), (4, 3)])
@pytest.mark.parametrize("n", [2, 0])
def test_resize(rng, mode, out, n):
    mode, _, align_corners = mode.partition(" ")
    (h, w), (p, q) = (4, 3), out
    x, gy = rng.standard_normal((n, h, w, 2)), rng.standard_normal((n, p, q, 2))
    expected, gradient = np.zeros(gy.shape), np.zeros(x.shape)
    for i, j in itertools.product(range(p), range(q)):
        for (a, row), (b, column) in itertools.product(
            resize_taps(i, h, p, mode, align_corners), resize_taps(j, w, q, mode, align_corners)
        ):
            expected[:, i, j] += a * b * x[:, row, column]
            gradient[:, row, column] += a * b * gy[:, i, j]
    y, gx = np.empty(gy.shape), np.full(x.shape, 77.0)
    ref.resize_fwd(x, y, mode, bool(align_corners))
    ref.resize_bwd(gy, gx, mode, bool(align_corners))
    assert_close(y, expected)
    assert_close(gx, gradient)


@pytest.mark.parametrize("log", [False, True])
def test_softmax(rng, blocks, log):
    x, gy = rng.standard_normal((4, 5)) * 3, rng.standard_normal((4, 5))

    def forward(x):
        y = np.empty(x.shape)
        ref.softmax_fwd(x, y, log)
        return y

    share = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    assert_close(forward(x), np.log(share) if log else share)
    assert_close(forward(x + 1000), forward(x), 1e-11)
    gx, direction = np.empty(x.shape), rng.standard_normal(x.shape)
    ref.softmax_bwd(gy, forward(x), gx, log)
    slope = slope_along(lambda x: np.vdot(forward(x), gy), x, direction)
    assert_close(np.vdot(gx, direction), slope, 1e-8)


REDUCTIONS = {"none": lambda v: v, "sum": np.sum, "mean": np.mean}


def check_loss(rng, forward, backward, x, rows, reduction):
    """The gradient of a loss against the difference quotient of its forward."""
    gloss = rng.standard_normal(rows.shape if reduction == "none" else ())

    def total(x):
        loss = np.empty(gloss.shape)
        forward(x, loss)
        return np.vdot(loss, gloss)

    loss, gx, direction = np.empty(gloss.shape), np.empty(x.shape), rng.standard_normal(x.shape)
    forward(x, loss)
    assert_close(loss, REDUCTIONS[reduction](rows))
    backward(gloss, x, gx)
    assert_close(np.vdot(gx, direction), slope_along(total, x, direction), 1e-7)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(rng, reduction, smoothing):
    x, labels, lse = rng.standard_normal((4, 5)) * 5, np.array([0, 4, 2, 2]), np.empty(4)
    logsumexp = np.log(np.exp(x).sum(1))
    picked = x[range(4), labels]
    rows = logsumexp - (1 - smoothing) * picked - smoothing * x.mean(1)

    def forward(x, loss):
        ref.cross_entropy_fwd(x, labels, loss, lse, smoothing, reduction)

    def backward(gloss, x, gx):
        forward(x, np.empty(gloss.shape))
        assert_close(lse, logsumexp)
        ref.cross_entropy_bwd(gloss, x, labels, lse, gx, smoothing, reduction)

    check_loss(rng, forward, backward, x, rows, reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_and_mean_squared_error(rng, reduction):
    x, t = rng.standard_normal((3, 4)) * 4, rng.random((3, 4))
    share = 1 / (1 + np.exp(-x))
    for rows, fwd, bwd in (
        (
            -t * np.log(share) - (1 - t) * np.log1p(-share),
            "bce_with_logits_fwd",
            "bce_with_logits_bwd",
        ),
        ((x - t) ** 2, "mse_fwd", "mse_bwd"),
    ):
        check_loss(
            rng,
            lambda x, loss, fwd=fwd: getattr(ref, fwd)(x, t, loss, reduction),
            lambda gloss, x, gx, bwd=bwd: getattr(ref, bwd)(gloss, x, t, gx, reduction),
            x,
            rows,
            reduction,
        )


def test_binary_cross_entropy_of_huge_logits():
    x, t, loss = np.array([800.0, -800.0]), np.array([0.0, 0.0]), np.empty(2)
    ref.bce_with_logits_fwd(x, t, loss, "none")
    assert loss.tolist() == [800, 0]


def test_losses_of_nothing():
    x, loss = np.empty((0, 3)), np.empty(())
    for reduction, expected in (("sum", 0.0), ("mean", np.nan)):
        ref.cross_entropy_fwd(x, np.empty(0, int), loss, np.empty(0), 0.1, reduction)
        assert np.array_equal(loss, expected, equal_nan=True)
        ref.mse_fwd(x, x, loss, reduction)
        assert np.array_equal(loss, expected, equal_nan=True)
        ref.cross_entropy_bwd(loss, x, np.empty(0, int), np.empty(0), x, 0.1, reduction)
    ref.softmax_fwd(x, x, False)
    ref.softmax_fwd(np.empty((2, 0)), np.empty((2, 0)), True)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(rng, nesterov, momentum):
    p, grads = rng.standard_normal(3), rng.standard_normal((3, 3))
    expected, buf, actual, momenta = p.copy(), None, [p.copy()], [np.full(3, 77.0)]
    for t, g in enumerate(grads):
        d = g + 0.1 * expected
        if momentum:
            buf = d if buf is None else momentum * buf + 0.75 * d
            d = d + momentum * buf if nesterov else buf
        expected = expected - 0.5 * d
        ref.sgd_step(
            *(
                actual,
                [g],
                momenta if momentum else None,
                0.5,
                momentum,
                0.25,
                0.1,
                nesterov,
                t == 0,
            )
        )
    assert_close(actual[0], expected)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(rng, decoupled):
    p, grads = rng.standard_normal(3), rng.standard_normal((3, 3))
    expected, m, v = p.copy(), 0, 0
    actual, moments, squares = [p.copy()], [np.zeros(3)], [np.zeros(3)]
    for t, g in enumerate(grads, 1):
        d = g if decoupled else g + 0.1 * expected
        expected = expected * (1 - 0.5 * 0.1) if decoupled else expected
        m, v = 0.8 * m + 0.2 * d, 0.9 * v + 0.1 * d * d
        expected = expected - 0.5 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
        ref.adam_step(actual, [g], moments, squares, 0.5, 0.8, 0.9, 1e-3, 0.1, decoupled, t)
    assert_close(actual[0], expected)


def test_inputs_are_never_written(rng):
    pr = CONVOLUTIONS["groups"]
    x, w, gy = (rng.standard_normal(s) for s in (pr.x_shape, pr.w_shape, pr.y_shape))
    for a in (x, w, gy):
        a.setflags(write=False)
    run_fwd(x, w, pr, Epilogue(residual=gy, act=RELU), Prologue(x[0, 0, 0], x[0, 0, 1], RELU))
    run_dgrad(gy, w, pr)
    run_wgrad(x, gy, pr)
    mean = np.zeros(9)
    mean.setflags(write=False)
    out = (np.empty(gy.shape), np.empty(9), np.empty(9), np.empty(gy.shape))
    ref.batch_norm_bwd(gy, gy, gy, gy, mean, mean, mean, mean, RELU, True, *out)


def test_every_array_function_that_is_used_exists_in_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    from fastconv.backend import philox

    source = inspect.getsource(ref) + inspect.getsource(philox)
    names = set(re.findall(r"\bxp\.([a-z][a-z0-9_.]*[a-z0-9])", source))
    assert {"matmul", "empty", "maximum"} <= names
    for name in names - {"__name__"}:
        value = cupy
        for part in name.split("."):
            assert hasattr(value, part), f"cupy has no {name}"
            value = getattr(value, part)
