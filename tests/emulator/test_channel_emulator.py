"""Sums per channel and excitation in the emulator: shapes, views, values, memory traffic."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_options, emulator_table
from tests.emulator.traffic import assert_coalesced, unaligned

TABLE = emulator_table()

EPS = np.finfo(np.float32).eps
SCHEDULES = [{"schedule": "fifo"}, {"schedule": "lifo"}, {"schedule": "random", "seed": 3}]
SHAPES = [
    (5,),  # a single row
    (3, 700, 3),  # stripes of 4 rows, a last vector of 0 .. 3 elements
    (701, 3),
    (1, 1),
    (70_001, 1),
    (9001, 2),
    (2, 9, 9, 65),  # two tiles of 40 columns
    (7, 132),
    (1000, 64),
    (33, 4097),  # many tiles, stripes of 4 rows
    (100, 4096),
]


def statistics(x):
    sums, y = np.full((2, x.shape[-1]), np.nan), np.full(x.shape[-1], np.nan, np.float32)
    TABLE.channel_stats(x, sums)
    TABLE.channel_sum(x, y)
    return sums, y


def values(shape, mean=0.0):
    return (np.random.default_rng(8).standard_normal(shape) + mean).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_channel_sums(shape):
    x = values(shape, 0.5)
    rows = x.reshape(-1, shape[-1]).astype(np.float64)
    results = []
    for options in SCHEDULES:
        with emulator_options(**options):
            results.append(statistics(x))
    sums, y = results[0]
    # runs of 16 in float32: at most 17 roundings of each term, seldom of one sign
    terms = np.stack([abs(rows).sum(0), (rows**2).sum(0)])
    assert (np.abs(sums - [rows.sum(0), (rows**2).sum(0)]) <= 4 * EPS * terms).all()
    assert (np.abs(y - rows.sum(0)) <= 4 * EPS * terms[0]).all()
    for other in [*results[1:], statistics(unaligned(x))]:
        np.testing.assert_array_equal(other[0], sums)
        np.testing.assert_array_equal(other[1], y)


def test_no_rows():
    sums, y = statistics(np.empty((0, 4), np.float32))
    np.testing.assert_array_equal(sums, 0)
    np.testing.assert_array_equal(y, 0)


@pytest.mark.parametrize("shape", [(4000, 3), (1500, 37), (9000, 64)])
@pytest.mark.parametrize("mean", [0.0, 1e4, -3e4])
def test_the_variance_survives_a_large_mean(shape, mean):
    x = values(shape, mean)
    sums, _ = statistics(x)
    center = sums[0] / shape[0]
    # the sums of squares are float64, whose last digit is about this much of the variance
    rounding = 8 * np.finfo(np.float64).eps * mean**2
    variance = np.var(x.astype(np.longdouble), axis=0).astype(np.float64)
    np.testing.assert_allclose(
        sums[1] / shape[0] - center**2, variance, rtol=2 * EPS, atol=rounding
    )


def test_the_pivot_may_be_an_outlier():
    x = values((5000, 6))
    x[0] = 1e3
    sums, _ = statistics(x)
    variance = sums[1] / len(x) - (sums[0] / len(x)) ** 2
    # the 8 terms of the outlier's thread are all as large as its square, which the variance has
    # once: 17 roundings of sum d^2, and 2 * 17 of what 2*(k - mean)*sum d takes off it
    truth = np.var(x.astype(np.float64), axis=0)
    np.testing.assert_allclose(variance, truth, rtol=8 * 51 * EPS / 2)


@pytest.mark.parametrize("at", [0, 17, 4999])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_so(at, value):
    for mean in (5.0, -5.0):
        x = values((5000, 3), mean)
        x[at, 1] = value
        sums, y = statistics(x)
        truth = np.full_like(sums, np.nan)
        reference.channel_stats(x, truth)
        np.testing.assert_allclose(sums, truth, rtol=4 * EPS, atol=0.1)
        np.testing.assert_allclose(y, truth[0], rtol=4 * EPS, atol=0.1)


@pytest.mark.parametrize("shape", [(2048, 64), (1111, 37), (64, 2048), (40_000, 1)])
def test_sums_read_whole_sectors(shape):
    x = values(shape)
    assert_coalesced("channel_sums.cu", lambda: statistics(x), reads=2 * x.size)


# ---- excitation


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (3, 31, 33, 33), (2, 1, 1, 1), (1, 40, 40, 520)])
def test_excitation(shape):
    n, _, _, c = shape
    x, gy, s = values(shape), values(shape)[::-1].copy(), values((n, 1, 1, c), 1)
    for wrap in (np.array, unaligned):
        y, gx, gs = wrap(np.empty_like(x)), wrap(np.empty_like(x)), np.empty_like(s)
        TABLE.scale_channels_fwd(wrap(x), s, y)
        TABLE.scale_channels_bwd(wrap(gy), wrap(x), s, gx, gs)
        np.testing.assert_array_equal(y, x * s)
        np.testing.assert_array_equal(gx, gy * s)
        products = gy.astype(np.float64) * x
        size = np.abs(products).sum((1, 2), keepdims=True)
        assert (np.abs(gs - products.sum((1, 2), keepdims=True)) <= 4 * EPS * size).all()


def test_excitation_in_place():
    x, s = values((2, 5, 5, 12)), values((2, 1, 1, 12))
    y = x.copy()
    TABLE.scale_channels_fwd(y, s, y)
    np.testing.assert_array_equal(y, x * s)


def test_excitation_without_pixels():
    x, s = np.empty((2, 0, 3, 4), np.float32), np.ones((2, 1, 1, 4), np.float32)
    gs = np.full_like(s, 7)
    TABLE.scale_channels_bwd(x, x, s, x.copy(), gs)
    np.testing.assert_array_equal(gs, 0)


def test_excitation_moves_whole_sectors():
    x, s = values((2, 28, 28, 48)), values((2, 1, 1, 48))
    y, gs = np.empty_like(x), np.empty_like(s)
    assert_coalesced(
        "scale_channels.cu", lambda: TABLE.scale_channels_fwd(x, s, y), reads=x.size, writes=x.size
    )
    assert_coalesced(
        "scale_channels.cu",
        lambda: TABLE.scale_channels_bwd(y, x, s, np.empty_like(x), gs),
        reads=2 * x.size,
        writes=x.size,
    )


def test_arguments():
    x, s = values((2, 3, 3, 4)), values((2, 1, 1, 4))
    with pytest.raises(ValueError, match="scale_channels_bwd: x: expected an array for gs"):
        TABLE.scale_channels_bwd(x, None, s, None, np.empty_like(s))
    with pytest.raises(ValueError, match="scale_channels_bwd: s: expected an array for gx"):
        TABLE.scale_channels_bwd(x, None, None, np.empty_like(x), None)
    with pytest.raises(ValueError, match=r"channel_sum: y: expected shape \(4,\)"):
        TABLE.channel_sum(x, np.empty(5, np.float32))
