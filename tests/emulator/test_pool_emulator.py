"""Pooling kernels where tests/native/kernel_cases.py does not reach: tails, large windows, views
between two vectors, special values, and what their memory accesses cost."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.problem import Pool2dProblem
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options, emulator_table

TABLE = emulator_table()

EPS = np.finfo(np.float32).eps
INF, NAN = np.inf, np.nan


def problem(n, h, w, c, window, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), more=(0, 0)):
    """more: windows behind the last whole one, as ceil_mode has them."""
    p, q = (
        (size + before + after - (taps - 1) * spacing - 1) // step + 1 + extra
        for size, taps, step, before, after, spacing, extra in zip(
            (h, w), window, stride, pad[::2], pad[1::2], dilation, more, strict=True
        )
    )
    return Pool2dProblem(n, h, w, c, *window, p, q, stride, pad, dilation)


GEOMETRIES = {
    "3x3s1, several blocks": lambda n, c: problem(n, 19, 23, c, (3, 3), pad=(1, 1, 1, 1)),
    "3x3s2, ceil": lambda n, c: problem(n, 12, 8, c, (3, 3), (2, 2), more=(1, 1)),
    "2x2s2, a rest": lambda n, c: problem(n, 7, 9, c, (2, 2), (2, 2)),
    "5x4s3": lambda n, c: problem(n, 11, 13, c, (5, 4), (3, 1), (2, 1, 0, 3)),
    "gaps": lambda n, c: problem(n, 9, 8, c, (2, 2), (4, 3)),
    "dilated": lambda n, c: problem(n, 9, 11, c, (3, 2), (2, 1), (2, 2, 1, 3), (3, 4)),
    "9x7, shared": lambda n, c: problem(n, 12, 10, c, (9, 7), (4, 2), (4, 4, 3, 3)),
    "17x16, shared": lambda n, c: problem(n, 20, 17, c, (17, 16), (9, 9), (8, 8, 7, 8)),
    "shared, dilated": lambda n, c: problem(n, 20, 21, c, (6, 6), (2, 3), (5, 4, 3, 2), (2, 3)),
}
ADAPTIVE = [(1, 1, 1, 1), (5, 3, 5, 3), (3, 2, 7, 5), (23, 17, 2, 3), (40, 33, 1, 1), (8, 8, 3, 1)]
CHANNELS = [1, 3, 4, 12, 36, 132]


def integers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32)


def between_vectors(a):
    """A copy that begins 4 bytes behind a multiple of 16."""
    room = np.empty(a.nbytes + 32, np.uint8)
    first = -room.ctypes.data % 16 + 4
    view = room[first : first + a.nbytes].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def check_displaced(function, model, arrays, *more):
    """The function on its arrays, one after the other displaced, against the model."""
    expected = [a.copy() for a in arrays]
    model(*expected, *more)
    for i in range(len(arrays)):
        came = [between_vectors(a) if j == i else a.copy() for j, a in enumerate(arrays)]
        function(*came, *more)
        for a, b in zip(came, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=8 * EPS * np.max(np.abs(b)))


def new(shape, dtype=np.float32):
    return np.full(shape, 77, dtype)


def sliding(K, x, gy, g, index):
    """Everything that the four functions of sliding windows write."""
    out = [new(gy.shape) for _ in range(4)]
    grads = [new(x.shape) for _ in range(3)]
    argmax = new(gy.shape, index)
    y, plain, clipped, padded = out
    K.max_pool2d_fwd(x, y, argmax, g)
    K.max_pool2d_fwd(x, plain, None, g)
    K.max_pool2d_bwd(gy, argmax, grads[0], g)
    K.avg_pool2d_fwd(x, clipped, g, False)
    K.avg_pool2d_fwd(x, padded, g, True)
    K.avg_pool2d_bwd(gy, grads[1], g, False)
    K.avg_pool2d_bwd(gy, grads[2], g, True)
    return [y, plain, argmax, grads[0], clipped, padded], grads[1:]


def adaptive(K, x, gy):
    y, plain, mean = (new(gy.shape) for _ in range(3))
    argmax, gmax, gmean = new(gy.shape, np.int32), new(x.shape), new(x.shape)
    K.adaptive_max_pool2d_fwd(x, y, argmax)
    K.adaptive_max_pool2d_fwd(x, plain, None)
    K.adaptive_max_pool2d_bwd(gy, argmax, gmax)
    K.adaptive_avg_pool2d_fwd(x, mean)
    K.adaptive_avg_pool2d_bwd(gy, gmean)
    return [y, plain, argmax, gmax, mean], [gmean]


def assert_agree(came, expected):
    """Selections and quotients of whole numbers have the same bits; a sum of quotients that are
    products with a reciprocal here has not."""
    for i, (a, b) in enumerate(zip(came[0], expected[0], strict=True)):
        np.testing.assert_array_equal(a, b, strict=True, err_msg=f"output {i}")
    for a, b in zip(came[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=8 * EPS * np.max(np.abs(b), initial=0))


@pytest.mark.parametrize("c", CHANNELS)
@pytest.mark.parametrize("key", GEOMETRIES)
def test_sliding_windows(key, c):
    g = GEOMETRIES[key](2, c)
    x, gy = integers(g.n, g.h, g.w, c), integers(g.n, g.p, g.q, c, seed=1)
    index = np.uint8 if g.r * g.s <= 256 else np.int32
    assert_agree(sliding(TABLE, x, gy, g, index), sliding(reference, x, gy, g, index))


@pytest.mark.parametrize("c", CHANNELS)
@pytest.mark.parametrize("h, w, p, q", ADAPTIVE)
def test_adaptive_windows(h, w, p, q, c):
    x, gy = integers(2, h, w, c), integers(2, p, q, c, seed=1)
    assert_agree(adaptive(TABLE, x, gy), adaptive(reference, x, gy))


@pytest.mark.parametrize("key", ["3x3s2, ceil", "9x7, shared"])
def test_any_array_may_begin_between_two_vectors(key):
    g = GEOMETRIES[key](2, 8)
    x, gy = integers(g.n, g.h, g.w, g.c), integers(g.n, g.p, g.q, g.c, seed=1)
    winner = integers(*gy.shape).astype(np.int32)
    y, gx, argmax = new(gy.shape), new(x.shape), new(gy.shape, np.int32)
    check_displaced(TABLE.max_pool2d_fwd, reference.max_pool2d_fwd, (x, y, argmax), g)
    check_displaced(TABLE.max_pool2d_bwd, reference.max_pool2d_bwd, (gy, winner, gx), g)
    check_displaced(TABLE.avg_pool2d_fwd, reference.avg_pool2d_fwd, (x, y), g, True)
    check_displaced(TABLE.avg_pool2d_bwd, reference.avg_pool2d_bwd, (gy, gx), g, True)
    for name in ("avg", "max"):
        fwd, bwd = f"adaptive_{name}_pool2d_fwd", f"adaptive_{name}_pool2d_bwd"
        outputs, saved = ((y,), ()) if name == "avg" else ((y, argmax), (winner,))
        check_displaced(getattr(TABLE, fwd), getattr(reference, fwd), (x, *outputs))
        check_displaced(getattr(TABLE, bwd), getattr(reference, bwd), (gy, *saved, gx))


@pytest.mark.parametrize("schedule", ["fifo", "lifo", "random"])
@pytest.mark.parametrize("key", ["3x3s2, ceil", "9x7, shared", "shared, dilated"])
def test_nan_wins_and_padding_never_does(key, schedule):
    g = GEOMETRIES[key](2, 36)
    rng = np.random.default_rng(0)
    x = rng.integers(-9, -1, (g.n, g.h, g.w, g.c)).astype(np.float32)
    x[rng.random(x.shape) < 0.02] = NAN
    x[rng.random(x.shape) < 0.05] = -INF
    x[1] = -INF
    x[1, -1, -1, ::3] = NAN
    gy = integers(g.n, g.p, g.q, g.c)
    with emulator_options(schedule=schedule, seed=3):
        came = sliding(TABLE, x, gy, g, np.uint8)[0][:4] + adaptive(TABLE, x, gy)[0][:4]
    expected = sliding(reference, x, gy, g, np.uint8)[0][:4] + adaptive(reference, x, gy)[0][:4]
    for a, b in zip(came, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isnan(came[0]).any() and not (came[0] == 0).any()


def test_a_window_that_holds_nothing():
    """Two taps, one on each side of the only row."""
    g = problem(1, 1, 3, 5, (2, 1), pad=(1, 1, 0, 0), dilation=(2, 1))
    assert (g.p, g.q) == (1, 3)
    x, gy = integers(1, 1, 3, 5), integers(1, 1, 3, 5, seed=1)
    came, expected = sliding(TABLE, x, gy, g, np.uint8), sliding(reference, x, gy, g, np.uint8)
    assert_agree(came, expected)
    assert np.all(came[0][0] == -INF) and not came[0][3].any()


def test_no_outputs_give_a_gradient_of_zero():
    gy, x = np.empty((2, 0, 3, 4), np.float32), np.empty((2, 5, 3, 4), np.float32)
    gx, gmax = new(x.shape), new(x.shape)
    TABLE.adaptive_avg_pool2d_bwd(gy, gx)
    TABLE.adaptive_max_pool2d_bwd(gy, np.empty(gy.shape, np.int32), gmax)
    assert not gx.any() and not gmax.any()


@pytest.mark.parametrize("c", [1, 4, 20, 132])
def test_a_global_mean_far_from_zero(c):
    """12,544 values around 1e4: a float32 chain of that length would lose 1e-4 of them."""
    rng = np.random.default_rng(0)
    x = (1e4 + rng.standard_normal((1, 112, 112, c))).astype(np.float32)
    y = new((1, 1, 1, c))
    TABLE.adaptive_avg_pool2d_fwd(x, y)
    exact = x.mean(axis=(1, 2), dtype=np.float64, keepdims=True)
    np.testing.assert_allclose(y, exact, rtol=4 * EPS)


@pytest.mark.parametrize("value", [0.3, 1e4 + 0.1])
def test_roundings_of_a_constant_do_not_add_up(value):
    """They all go one way: 392 values to a thread in one chain would be wrong by 30 eps."""
    x, y = np.full((1, 112, 112, 128), value, np.float32), new((1, 1, 1, 128))
    TABLE.adaptive_avg_pool2d_fwd(x, y)
    np.testing.assert_allclose(y, x[:, :1, :1], rtol=6 * EPS)


def test_an_image_gives_the_same_alone_and_in_a_batch():
    x = np.random.default_rng(0).standard_normal((5, 14, 14, 40)).astype(np.float32)
    for out in ((1, 1), (3, 2), (9, 14)):
        y, alone = new((5, *out, 40)), new((1, *out, 40))
        TABLE.adaptive_avg_pool2d_fwd(x, y)
        TABLE.adaptive_avg_pool2d_fwd(x[2:3], alone)
        np.testing.assert_array_equal(y[2:3], alone)


def efficiency(call):
    """Ideal by actual sectors of global memory: of loads, of stores."""
    _emulator.reset_counters()
    with emulator_options(count=True):
        call()
        rows = [r for r in _emulator.counters() if r["space"] == "global"]
    return [
        sum(r["ideal"] for r in rows if r["kind"] == kind)
        / sum(r["transfers"] for r in rows if r["kind"] == kind)
        for kind in ("read", "write")
    ]


def test_accesses_of_global_memory_run_along_the_channels():
    g = problem(2, 28, 28, 64, (3, 3), (2, 2), (1, 1, 1, 1))
    x, gy = integers(g.n, g.h, g.w, g.c), integers(g.n, g.p, g.q, g.c, seed=1)
    y, gx, argmax = new(gy.shape), new(x.shape), new(gy.shape, np.uint8)
    mean = new((2, 1, 1, 64))
    calls = {
        "max fwd": lambda: TABLE.max_pool2d_fwd(x, y, argmax, g),
        "max bwd": lambda: TABLE.max_pool2d_bwd(gy, argmax, gx, g),
        "average fwd": lambda: TABLE.avg_pool2d_fwd(x, y, g, False),
        "average bwd": lambda: TABLE.avg_pool2d_bwd(gy, gx, g, False),
        "global fwd": lambda: TABLE.adaptive_avg_pool2d_fwd(x, mean),
        "global bwd": lambda: TABLE.adaptive_avg_pool2d_bwd(mean, gx),
    }
    measured = {name: efficiency(call) for name, call in calls.items()}
    assert all(min(pair) >= 0.9 for pair in measured.values()), measured


def test_a_global_average_of_one_image_fills_a_block():
    x = integers(1, 56, 56, 16)
    _emulator.reset_counters()
    with emulator_options(count=True):
        TABLE.adaptive_avg_pool2d_fwd(x, new((1, 1, 1, 16)))
        (kernel,) = _emulator.kernel_counts()
    # four planes of 1024 threads
    assert kernel["blocks"] == 1 and kernel["shared_bytes"] == 4 * 4 * 1024


def test_refusals():
    g = problem(1, 17, 17, 4, (17, 17))
    x, y = integers(1, 17, 17, 4), new((1, 1, 1, 4))
    with pytest.raises(ValueError, match="int32 for windows of more than 256 taps"):
        TABLE.max_pool2d_fwd(x, y, new(y.shape, np.uint8), g)
    with pytest.raises(ValueError, match="max_pool2d_fwd: argmax: expected int32, came int64"):
        TABLE.max_pool2d_fwd(x, y, new(y.shape, np.int64), g)
    with pytest.raises(ValueError, match=r"avg_pool2d_fwd: y: expected shape \(1, 1, 1, 4\)"):
        TABLE.avg_pool2d_fwd(x, new((1, 1, 1, 5)), g, False)
    with pytest.raises(ValueError, match="strides and dilations of at least 1"):
        TABLE.avg_pool2d_fwd(x, y, g._replace(stride=(0, 1)), False)
    with pytest.raises(ValueError, match=r"windows below 2\^31"):
        TABLE.avg_pool2d_fwd(x, y, g._replace(stride=(2**31, 1)), False)
    huge = np.broadcast_to(np.float32(0), (1, 2**15, 2**14, 4))
    with pytest.raises(ValueError, match=r"fewer than 2\^31 elements"):
        TABLE.adaptive_avg_pool2d_fwd(huge, y)
    with pytest.raises(ValueError, match="4 axes"):
        TABLE.adaptive_avg_pool2d_fwd(x[0], y)
