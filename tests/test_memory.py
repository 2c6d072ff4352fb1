"""Threads and memory of the native kernels, and what is said where they are not built."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend import memory, num_threads, reset_peak_memory, select
from fastconv.errors import ArgumentError, DeviceError

native = pytest.mark.skipif(not select.NATIVE_BUILT, reason="fastconv._cpu is not built")


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_set_num_threads_takes_positive_ints(n):
    with pytest.raises(ArgumentError, match="n must be an int of at least 1"):
        fc.set_num_threads(n)


@pytest.mark.parametrize(
    "call",
    [lambda: fc.set_num_threads(2), fc.memory_stats, num_threads, reset_peak_memory],
)
def test_without_native_kernels_nothing_is_pretended(monkeypatch, call):
    monkeypatch.setattr(select, "NATIVE_BUILT", False)
    with pytest.raises(DeviceError, match="FASTCONV_NATIVE=OFF"):
        call()
    memory.empty_cache()


@native
def test_number_of_threads_is_what_was_set():
    before = num_threads()
    try:
        fc.set_num_threads(3)
        assert num_threads() == 3
    finally:
        fc.set_num_threads(before)


@native
def test_memory_is_counted_cached_and_given_back():
    fc.empty_cache()
    before = fc.memory_stats()
    assert before["cached_bytes"] == 0
    reset_peak_memory()
    x = fc.tensor(np.zeros((256, 1024), "float32"))
    live = fc.memory_stats()
    assert live["live_bytes"] - before["live_bytes"] >= x.nbytes
    assert live["peak_bytes"] >= live["live_bytes"]
    assert live["allocations"] > before["allocations"]
    nbytes = x.nbytes
    del x
    assert fc.memory_stats()["cached_bytes"] >= nbytes
    fc.empty_cache()
    assert fc.memory_stats()["cached_bytes"] == 0
