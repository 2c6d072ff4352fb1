"""The random generator against the known answers of its authors and against its own definition."""

import numpy as np
import pytest

from fastconv.backend.philox import CHUNK_BLOCKS, normal, philox4x32, uniform

# Random123 1.14, tests/kat_vectors, "philox4x32 10": counter words, key words, result
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_known_answers(counter, key, result):
    (c0, c1, c2, c3), (k0, k1) = words(counter), words(key)
    lo = np.array([c0 | c1 << 32], np.uint64)
    block = philox4x32(lo, c2 | c3 << 32, k0 | k1 << 32, np)
    assert block.dtype == np.uint32
    assert block.tolist() == [words(result)]


def test_blocks_do_not_depend_on_their_neighbours():
    lo = np.array([0, 1, 2**32 - 1, 2**32, 2**63], np.uint64)
    together = philox4x32(lo, 7, 2**40 + 1, np)
    for i in range(len(lo)):
        assert np.array_equal(philox4x32(lo[i : i + 1], 7, 2**40 + 1, np)[0], together[i])


def test_uniform_is_the_words_of_the_counter_in_order():
    blocks = philox4x32(np.arange(3, dtype=np.uint64), 9, 42, np).reshape(12)
    expected = (blocks >> 8) / 2.0**24
    u = uniform(42, 9, 11, np)
    assert u.dtype == np.float32
    assert np.array_equal(u, expected[:11])  # 24 bits are exact in float32


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4, 4 * CHUNK_BLOCKS - 3])
def test_uniform_from_a_start_is_a_slice_of_the_stream(start):
    whole = uniform(1, 2, start + 4 * CHUNK_BLOCKS + 9, np)
    assert np.array_equal(uniform(1, 2, 4 * CHUNK_BLOCKS + 9, np, start=start), whole[start:])


def test_uniform_lies_in_the_half_open_interval_and_is_uniform():
    u = uniform(3, 0, 200_000, np)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=50, range=(0, 1))[0]
    chi2 = ((counts - 4000.0) ** 2 / 4000).sum()
    assert chi2 < 86  # 49 degrees of freedom: 0.1 % of all streams are above; this one is fixed


def test_streams_differ_by_seed_and_by_offset():
    first = uniform(1, 1, 64, np)
    for other in (uniform(2, 1, 64, np), uniform(1, 2, 64, np), uniform(1 + 2**32, 1, 64, np)):
        assert not np.isin(first, other).any()
    assert np.array_equal(first, uniform(1 - 2**64, 1, 64, np))  # seeds are taken modulo 2^64


def test_normal_is_box_muller_of_the_word_pairs():
    a, b = philox4x32(np.arange(2, dtype=np.uint64), 5, 11, np).reshape(4, 2).T.astype(np.float64)
    radius, angle = np.sqrt(-2 * np.log((a + 1) / 2**32)), 2 * np.pi * b / 2**32
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(8)
    z = normal(11, 5, 7)
    assert z.dtype == np.float64
    np.testing.assert_allclose(z, expected[:7], rtol=1e-13)


def test_normal_moments():
    z = normal(0, 0, 400_001)
    assert len(z) == 400_001
    # five standard errors of mean, variance and fourth moment
    n = len(z) ** 0.5
    assert abs(z.mean()) < 5 / n
    assert abs(z.var() - 1) < 5 * 2**0.5 / n
    assert abs((z**4).mean() - 3) < 5 * 96**0.5 / n


def test_nothing_asked_for_is_nothing():
    assert uniform(1, 1, 0, np).shape == normal(1, 1, 0).shape == (0,)
