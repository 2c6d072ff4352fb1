"""The orders in which the emulator runs threads and blocks, and when cp.async lands."""

import numpy as np
import pytest

from tests.emulator import library

if library.compiler() is None:
    pytest.skip("no C++ compiler (g++, or CXX)", allow_module_level=True)

THREADS, BLOCKS = 64, 9


@pytest.fixture(autouse=True)
def _options():
    yield
    library.set_options()


def order(schedule, seed=0):
    """(block, thread) of every thread, as they came, before and after a barrier."""
    library.set_options(schedule, seed)
    came = np.zeros((2, BLOCKS * THREADS), np.int32)
    library.call("order", BLOCKS, THREADS, came=library.inout(came))
    return came // THREADS, came % THREADS


def test_fifo_and_lifo():
    blocks, threads = order("fifo")
    np.testing.assert_array_equal(blocks[0], np.repeat(np.arange(BLOCKS), THREADS))
    np.testing.assert_array_equal(threads[0], np.tile(np.arange(THREADS), BLOCKS))
    for forward, backward in zip(order("fifo"), order("lifo")):
        np.testing.assert_array_equal(forward[:, ::-1], backward)


def test_random_takes_all_and_follows_its_seed():
    blocks, threads = order("random", 7)
    for again, first in zip(order("random", 7), (blocks, threads)):
        np.testing.assert_array_equal(again, first)
    other_blocks, other_threads = order("random", 8)
    # blocks, threads of a block, and their next turn: each in an order of its own
    per_block = threads.reshape(2, BLOCKS, THREADS)
    drawn = [blocks[0, ::THREADS], *per_block[0], *per_block[1]]
    assert len({tuple(o) for o in drawn}) == len(drawn)
    for o in drawn:
        np.testing.assert_array_equal(np.sort(o), np.arange(o.size))
    assert (other_blocks != blocks).any() and (other_threads != threads).any()


def product(name, **options):
    library.set_options(**options)
    a, b = np.random.default_rng(1).standard_normal((2, 128, 128), np.float32)
    c = np.empty_like(a)
    library.call(name, 128, 128, 128, a=library.given(a), b=library.given(b), c=library.out(c))
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, atol=1e-4)
    return c


def test_a_correct_pipeline_gives_the_same_bits_in_every_order_and_at_any_landing():
    truth = product("gemm")
    for schedule in library.SCHEDULES:
        for eager in (False, True):
            seen = product("gemm_async", schedule=schedule, seed=2, eager_copies=eager)
            np.testing.assert_array_equal(seen, truth)


def test_eager_copies_hide_a_missing_wait():
    """They land at once: what late ones are for."""
    x = np.arange(64, dtype=np.float32)
    y = np.empty_like(x)
    arrays = {"x": library.given(x), "y": library.out(y)}
    library.set_options(eager_copies=True)
    library.call("missing_wait", True, **arrays)
    np.testing.assert_array_equal(y, x[::-1])
    library.set_options()
    with pytest.raises(library.Report):
        library.call("missing_wait", True, **arrays)
