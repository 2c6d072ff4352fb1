"""csrc/cuda/device in the emulator, against NumPy."""

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import library
from tests.emulator.library import given, inout, out

if library.compiler() is None:
    pytest.skip("no C++ compiler (g++, or CXX)", allow_module_level=True)

MOST = 2**31 - 1
HALVES = {"half": np.float16, "bfloat16": ml_dtypes.bfloat16}
PATTERNS = np.arange(65536, dtype=np.uint16)
TYPES = {"float": np.float32, "double": np.float64, "int": np.int32}


@pytest.fixture(autouse=True)
def _options():
    library.set_options()


def test_divider(rng):
    powers = 2 ** np.arange(31, dtype=np.int64)
    divisors = np.concatenate(
        [np.arange(1, 200), powers, powers[1:] - 1, powers + 1, rng.integers(1, MOST, 200)]
    )
    divisors = np.append(divisors, [MOST - 1, MOST, 46341, 65537, 641, 6700417])
    values = []
    for d in divisors:
        multiples = d * rng.integers(0, MOST // d + 1, 40)
        edges = [0, 1, d - 1, d, d + 1, 2 * d - 1, 2 * d, MOST // d * d - 1, MOST // d * d]
        powers_here = [*(powers - 1), *powers, MOST - 1, MOST]
        drawn = rng.integers(0, MOST, 40)
        all_of_it = np.concatenate([multiples, multiples - 1, edges, powers_here, drawn])
        values.append(np.clip(all_of_it, 0, MOST))
    a = np.array(values, np.int32)
    q, r = np.empty((2, *a.shape), np.int32)
    arrays = {"d": given(divisors), "a": given(a), "q": out(q), "r": out(r)}
    library.call("divide", a.shape[1], a.shape[0], **arrays)
    np.testing.assert_array_equal(q, a // divisors[:, None])
    np.testing.assert_array_equal(r, a % divisors[:, None])


def assert_same_bits(a, b):
    """All NaN are one."""
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    bits = f"u{a.itemsize}"
    there = ~np.isnan(a)
    np.testing.assert_array_equal(a.view(bits)[there], b.view(bits)[there])


@pytest.mark.parametrize("vector", ["", "4"])
@pytest.mark.parametrize("name", HALVES)
def test_widen_every_pattern(name, vector):
    y = np.empty(65536, np.float32)
    library.call(f"widen_{name}{vector}", 65536, x=given(PATTERNS), y=out(y))
    assert_same_bits(y, PATTERNS.view(HALVES[name]).astype(np.float32))


@pytest.mark.parametrize("vector", ["", "4"])
@pytest.mark.parametrize("name", HALVES)
def test_narrow(name, vector, rng):
    """Every pattern, the middle between it and the next one, that middle's neighbours; any bits."""
    exact = PATTERNS.view(HALVES[name]).astype(np.float32)
    with np.errstate(all="ignore"):
        middle = ((exact[:-1].astype(np.float64) + exact[1:]) / 2).astype(np.float32)
    around = [np.nextafter(middle, np.float32(side)) for side in (-np.inf, np.inf)]
    special = [65504, 65519.996, 65520, 3.4e38, np.inf, -np.inf, np.nan, 0, -0.0, 1e-45, 5.96e-8]
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    parts = [exact, middle, *around, np.array([special, special], np.float32).ravel(), bits]
    x = np.concatenate(parts)
    x = np.append(x, np.zeros(-x.size % 4, np.float32))
    y = np.empty(x.size, np.uint16)
    library.call(f"narrow_{name}{vector}", x.size, x=given(x), y=out(y))
    with np.errstate(all="ignore"):
        expected = x.astype(HALVES[name])
    assert_same_bits(y.view(HALVES[name]), expected)


def test_narrow_to_float_changes_nothing(rng):
    x = rng.standard_normal(400).astype(np.float32)
    y = np.empty_like(x)
    library.call("narrow_float", x.size, x=given(x), y=out(y))
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("schedule", library.SCHEDULES)
@pytest.mark.parametrize("threads", [32, 64, 224, 1024])
@pytest.mark.parametrize("name", ["sum_float", "sum_double", "sum_int", "max_float", "max_int"])
def test_reductions(name, threads, schedule, rng):
    library.set_options(schedule, seed=4)
    kind, _, dtype = name.partition("_")
    x = rng.integers(-1000, 1000, (3, threads)).astype(TYPES[dtype])
    warps, blocks = np.empty_like(x), np.empty((3, threads, 2), x.dtype)
    library.call(name, 3, threads, x=given(x), warps=out(warps), blocks=out(blocks))
    fold = {"sum": np.sum, "max": np.max}[kind]
    of_warps = fold(x.reshape(3, -1, 32), axis=-1)
    np.testing.assert_array_equal(warps, np.repeat(of_warps, 32, axis=-1))
    of_blocks = fold(x, axis=-1)[:, None, None] * np.array([1, 2], x.dtype)
    np.testing.assert_array_equal(blocks, np.broadcast_to(of_blocks, blocks.shape))


@pytest.mark.parametrize("name", ["sum_float", "max_float"])
def test_nan_reaches_every_thread(name):
    for lane in (0, 1, 31, 40):
        x = np.arange(64, dtype=np.float32)
        x[lane] = np.nan
        warps, blocks = np.empty_like(x), np.empty((64, 2), np.float32)
        library.call(name, 1, 64, x=given(x), warps=out(warps), blocks=out(blocks))
        np.testing.assert_array_equal(np.isnan(warps), np.arange(64) // 32 == lane // 32)
        assert np.isnan(blocks).all()


def test_sums_have_one_order(rng):
    """A tree in the warp, then warp after warp, whatever the schedule."""
    x = rng.standard_normal((1, 256)).astype(np.float32)
    tree = x.reshape(8, 32)
    for half in (16, 8, 4, 2, 1):
        tree = tree[:, :half] + tree[:, half:]
    truth = tree[0, 0]
    for warp in tree[1:, 0]:
        truth = truth + warp
    for schedule in library.SCHEDULES:
        library.set_options(schedule, seed=9)
        warps, blocks = np.empty_like(x), np.empty((256, 2), np.float32)
        library.call("sum_float", 1, 256, x=given(x), warps=out(warps), blocks=out(blocks))
        np.testing.assert_array_equal(blocks[:, 0], np.full(256, truth))


@pytest.mark.parametrize("argument", [1, 5, 16, 31])
@pytest.mark.parametrize("dtype", TYPES)
def test_shuffles(dtype, argument, rng):
    x = rng.integers(-1000, 1000, 32).astype(TYPES[dtype])
    y = np.empty((3, 32), x.dtype)
    library.call(f"shuffle_{dtype}", argument, x=given(x), y=out(y))
    lanes = np.arange(32)
    # past the warp's end a lane keeps its own value (PTX ISA, shfl.sync)
    down = np.where(lanes + argument < 32, lanes + argument, lanes)
    expected = [x[lanes ^ argument], x[down], np.full(32, x[argument])]
    np.testing.assert_array_equal(y, expected)


def test_ballots(rng):
    x = rng.standard_normal(32).astype(np.float32)
    y = np.empty(2, np.uint32)
    library.call("vote", x=given(x), y=out(y))
    bits = int("".join("01"[int(v > 0)] for v in x[::-1]), 2)
    assert y.tolist() == [bits, bits & 0xFFFF]


@pytest.mark.parametrize(
    "name, dtype",
    [
        ("copy_uint8_16", np.uint8),
        ("copy_uint8_2", np.uint8),
        ("copy_uint16_8", np.uint16),
        ("copy_uint16_2", np.uint16),
        ("copy_float_4", np.float32),
        ("copy_float_2", np.float32),
        ("copy_float_1", np.float32),
        ("copy_double_2", np.float64),
    ],
)
def test_loads_and_stores(name, dtype, rng):
    n = int(name.rpartition("_")[2])
    x = rng.integers(0, 256, 300 * n).astype(dtype)
    y = np.empty_like(x)
    library.set_options(count=True)
    library.counters()
    library.call(name, x.size, x=given(x), y=out(y))
    np.testing.assert_array_equal(y, x)
    assert {(c.kind, c.bytes) for c in library.counters()} == {
        ("read", n * x.itemsize),
        ("write", n * x.itemsize),
    }


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_async_copies_and_their_zeros(n, eager):
    library.set_options(eager_copies=eager)
    x = 1 + np.arange(63 * n, dtype=np.float32)
    y = np.empty(64 * n, np.float32)
    library.call(f"copy_async_{n}", 64, x=given(x), y=out(y))
    np.testing.assert_array_equal(y, np.append(x, np.zeros(n, np.float32)))


@pytest.mark.parametrize(
    "offset, pitch, expected",
    [
        (0, 0, [1, 1, 1]),
        (0, 8, [1, 1, 1]),
        (0, 6, [0, 1, 1]),
        (0, 7, [0, 0, 1]),
        (1, 4, [0, 0, 1]),
        (2, 4, [0, 1, 1]),
        (4, 4, [1, 1, 1]),
    ],
)
def test_vectors_fit(offset, pitch, expected):
    y = np.zeros(3, np.int32)
    library.call("vectors_fit", offset, pitch, x=given(np.zeros(8, np.float32)), y=inout(y))
    assert y.tolist() == expected


def test_vectors_fit_knows_a_misaligned_view():
    y = np.zeros(3, np.int32)
    library.call("vectors_fit", 0, 4, x=given(np.zeros(8, np.float32), offset=8), y=inout(y))
    assert y.tolist() == [0, 1, 1]


def test_fill_zero():
    y = np.ones(100, np.uint8)
    library.call("fill_zero", 100, y=out(y))
    assert not y.any()
    with pytest.raises(library.Report, match="no kernel wrote byte 99 of y"):
        library.call("fill_zero", 99, y=out(y))
    with pytest.raises(library.Report, match=r"out of bounds.*byte 100 of y"):
        library.call("fill_zero", 101, y=out(y))
    with pytest.raises(library.Report, match="of an input"):
        library.call("fill_zero", 1, x=given(y))
    with pytest.raises(library.Report, match="not device memory"):
        library.call("fill_zero", 1)
