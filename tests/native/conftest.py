"""Fixtures of the tests of fastconv._cpu."""

import pytest

from fastconv.backend.select import NATIVE_BUILT

if NATIVE_BUILT:
    from fastconv.backend import cpu


@pytest.fixture
def threads():
    """Sets the number of threads, and gives it back after the test."""
    before = cpu.num_threads()
    yield cpu.set_num_threads
    cpu.set_num_threads(before)
