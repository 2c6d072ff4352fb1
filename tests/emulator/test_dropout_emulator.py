"""Dropout in the emulator beyond the kernel cases: tails, groups, unaligned views, counters."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_table
from tests.emulator.counting import sectors, sectors_per_request

TABLE = emulator_table()

SIZES = [1, 2, 3, 4, 5, 1023, 1024, 1025, 2051]


def dropped(K, size, group=1, skip=0, seed=2**63 + 5, offset=2**33 + 1):
    x = np.random.default_rng(size).standard_normal(skip + size, np.float32)[skip:]
    y = np.full(skip + size, 77, np.float32)[skip:]
    with np.errstate(all="ignore"):
        K.dropout(x, y, 0.4, seed, offset, group)
    return y


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 17, 1000, 2**31, 2**40])
def test_sizes_and_groups_give_the_bits_of_the_reference(size, group):
    came = dropped(TABLE, size, group)
    np.testing.assert_array_equal(came, dropped(reference, size, group), strict=True)


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("skip", [1, 2, 3])
def test_views_that_begin_between_two_vectors(group, skip):
    came = dropped(TABLE, 1030, group, skip)
    np.testing.assert_array_equal(came, dropped(reference, 1030, group, skip), strict=True)


def test_in_place():
    x = np.random.default_rng(0).standard_normal(1030, np.float32)
    y = np.empty_like(x)
    reference.dropout(x, y, 0.4, 1, 2, 1)
    TABLE.dropout(x, x, 0.4, 1, 2, 1)
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nan_and_infinity_are_dropped_like_any_value(p):
    x = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    y, expected = np.empty_like(x), np.empty_like(x)
    with np.errstate(all="ignore"):
        reference.dropout(x, expected, p, 1, 2, 1)
    TABLE.dropout(x, y, p, 1, 2, 1)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize("group", [1, 7])
def test_sectors_move_whole(kind, group):
    ideal, moved = sectors(lambda: dropped(TABLE, 1 << 14, group), kind)
    assert ideal >= 0.9 * moved
    assert sectors_per_request(lambda: dropped(TABLE, 1 << 14, group), kind) == 16


def test_what_makes_no_sense_is_refused():
    x = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="p: expected 0 to 1"):
        TABLE.dropout(x, x, 1.5, 1, 0, 1)
    with pytest.raises(ValueError, match="group: expected at least 1"):
        TABLE.dropout(x, x, 0.5, 1, 0, 0)
