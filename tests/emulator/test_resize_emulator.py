"""Resize and channel shuffle where tests/native/kernel_cases.py does not reach: tails, views
between two vectors, far scales, long rows, and what their memory accesses cost."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_table
from tests.emulator.test_pool_emulator import (
    check_displaced,
    efficiency,
    integers,
    new,
)

TABLE = emulator_table()

EPS = np.finfo(np.float32).eps
MODES = [("nearest", False), ("bilinear", False), ("bilinear", True)]
SIDES = [
    ((1, 1), (1, 1)),
    ((1, 1), (9, 7)),
    ((5, 2), (1, 1)),
    ((6, 5), (6, 5)),
    ((7, 9), (21, 36)),
    ((24, 30), (8, 5)),
    ((11, 13), (13, 11)),
    ((2, 40), (61, 3)),
    ((37, 3), (36, 90)),
]


def run(K, x, gy, mode, corners):
    y, gx = new(gy.shape, gy.dtype), new(x.shape, x.dtype)
    K.resize_fwd(x, y, mode, corners)
    K.resize_bwd(gy, gx, mode, corners)
    return y, gx


def assert_close(came, x, gy, mode, corners):
    """As the CPU kernels' bound: 20 eps, with the reference in float64. The gradient of a pixel
    that very many outputs read is a longer sum."""
    truth = run(reference, x.astype(np.float64), gy.astype(np.float64), mode, corners)
    for a, b in zip(came, truth, strict=True):
        assert np.all(np.abs(a - b) <= 20 * EPS * np.max(np.abs(b), initial=0))


@pytest.mark.parametrize("c", [1, 3, 4, 20])
@pytest.mark.parametrize("mode, corners", MODES)
@pytest.mark.parametrize("sides, out", SIDES)
def test_resize(sides, out, mode, corners, c):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *sides, c)).astype(np.float32)
    gy = rng.standard_normal((2, *out, c)).astype(np.float32)
    assert_close(run(TABLE, x, gy, mode, corners), x, gy, mode, corners)


@pytest.mark.parametrize("mode, corners", MODES)
def test_any_array_may_begin_between_two_vectors(mode, corners):
    x, gy = integers(2, 5, 7, 8), integers(2, 9, 11, 8, seed=1)
    y, gx = new(gy.shape), new(x.shape)
    check_displaced(TABLE.resize_fwd, reference.resize_fwd, (x, y), mode, corners)
    check_displaced(TABLE.resize_bwd, reference.resize_bwd, (gy, gx), mode, corners)


@pytest.mark.parametrize("mode, corners", MODES[:2])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_whole_factors_of_whole_numbers_are_exact(factor, mode, corners):
    x, gy = integers(2, 5, 7, 8), integers(2, 5 * factor, 7 * factor, 8, seed=1)
    expected = run(reference, x, gy, mode, corners)
    for a, b in zip(run(TABLE, x, gy, mode, corners), expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mode, corners", MODES)
def test_long_sides(mode, corners):
    """Products of sides near 2^30, and beyond it where a factor cancels."""
    for size, out in ((20_011, 20_021), (2**17, 2**16)):
        if corners and size == 2**17:
            continue  # 2^17 - 1 and 2^16 - 1 have no common factor
        x, gy = integers(1, size, 1, 1), integers(1, out, 1, 1, seed=1)
        assert_close(run(TABLE, x, gy, mode, corners), x, gy, mode, corners)


def test_resize_to_nothing():
    x, gy = np.ones((2, 3, 4, 5), np.float32), np.empty((2, 0, 4, 5), np.float32)
    y, gx = run(TABLE, x, gy, "bilinear", False)
    assert y.shape == gy.shape and not gx.any()


def test_resize_refusals():
    x = integers(1, 4, 4, 4)
    for y, mode, match in (
        (new((1, 2, 2, 5)), "nearest", r"y: expected shape \(1, 2, 2, 4\)"),
        (new((1, 2, 2, 4)), "cubic", "nearest or bilinear, came cubic"),
        (new((2, 2, 4)), "nearest", "4 axes"),
    ):
        with pytest.raises(ValueError, match=match):
            TABLE.resize_fwd(x, y, mode, False)
    with pytest.raises(ValueError, match="at least one pixel"):
        TABLE.resize_fwd(x[:, :0], new((1, 2, 2, 4)), "nearest", False)
    long = np.broadcast_to(np.float32(0), (1, 50_021, 1, 1))
    with pytest.raises(ValueError, match=r"products of sides below 2\^30"):
        TABLE.resize_fwd(long, np.broadcast_to(np.float32(0), (1, 50_023, 1, 1)), "nearest", False)


@pytest.mark.parametrize(
    "rows, c, groups",
    [
        (1, 1, 1),
        (517, 6, 2),
        (1001, 9, 3),
        (3, 700, 7),
        (2, 2049, 3),
        (70, 240, 80),
        (3, 12_288, 4),  # a tile of 48 KB
        (3, 12_291, 17 * 241),  # rows that shared memory does not hold
        (2, 16_384, 128),
    ],
)
def test_channel_shuffle(rows, c, groups):
    x = np.arange(rows * c, dtype=np.float32).reshape(rows, c)
    y, expected = new(x.shape), new(x.shape)
    reference.channel_shuffle(x, expected, groups)
    TABLE.channel_shuffle(x, y, groups)
    np.testing.assert_array_equal(y, expected)
    check_displaced(TABLE.channel_shuffle, reference.channel_shuffle, (x, y), groups)


def test_channel_shuffle_refuses_groups_that_do_not_divide():
    x = integers(3, 10)
    for groups in (0, 3, -2):
        with pytest.raises(ValueError, match="a divisor of the 10 channels"):
            TABLE.channel_shuffle(x, new(x.shape), groups)


def test_accesses_of_global_memory_run_along_the_channels():
    x, gy = integers(2, 14, 14, 64), integers(2, 28, 28, 64, seed=1)
    y, gx = new(gy.shape), new(x.shape)
    shuffled = integers(64, 241, seed=2)
    calls = {
        "bilinear fwd": lambda: TABLE.resize_fwd(x, y, "bilinear", False),
        "bilinear bwd": lambda: TABLE.resize_bwd(gy, gx, "bilinear", False),
        "nearest fwd": lambda: TABLE.resize_fwd(x, y, "nearest", False),
        "nearest bwd": lambda: TABLE.resize_bwd(gy, gx, "nearest", False),
        "shuffle": lambda: TABLE.channel_shuffle(x, new(x.shape), 4),
        "shuffle, odd rows": lambda: TABLE.channel_shuffle(shuffled, new(shuffled.shape), 241),
    }
    measured = {name: efficiency(call) for name, call in calls.items()}
    assert all(min(pair) >= 0.9 for pair in measured.values()), measured
