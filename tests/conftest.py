"""Fixtures of all tests: a seeded generator, the backends, a fixed random state, room for large
networks."""

import fcntl
import gc
import zlib
from contextlib import nullcontext

import numpy as np
import pytest

import fastconv as fc
from tests import parity_table
from tests.places import IN_FLOAT64


@pytest.fixture
def rng(request):
    """A generator whose values depend on the test's name alone."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(params=IN_FLOAT64)
def backend(request):
    """Runs the test once per kernel table that is built here and takes float64."""
    with fc.use_backend(request.param):
        yield request.param


@pytest.fixture
def ieee():
    """Sums of integers are exact: no algorithm that rounds more than plain float32 does."""
    fc.set_float32_precision("ieee")
    yield
    fc.set_float32_precision("default")


@pytest.fixture(autouse=True)
def _same_random_state():
    """No test sees what another one drew."""
    fc.manual_seed(0)


@pytest.fixture
def room_for_large_networks(request, tmp_path_factory):
    """Tests of network "name": the large ones one at a time over all processes, as two need more
    memory than a machine of 16 GB has; and the pool is empty before and after."""
    info = fc.models.model_info(request.node.callspec.params["name"])
    large = info.params > 5e7 or info.macs > 1.5e10
    lock = tmp_path_factory.getbasetemp().parent / "large_network.lock"
    with lock.open("w") if large else nullcontext() as file:
        if large:
            fcntl.flock(file, fcntl.LOCK_EX)  # the file's end gives it back
        yield
        gc.collect()
        fc.empty_cache()


def pytest_terminal_summary(terminalreporter):
    """A table of what tests/peers measured; here, as xdist's controller loads no other conftest."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind)]
    properties = [pair for r in reports if r.when == "call" for pair in r.user_properties]
    found = [value for key, value in properties if key == parity_table.PROPERTY]
    if found:
        terminalreporter.section("errors relative to PyTorch in float64, worst per family")
        for line in parity_table.lines(found):
            terminalreporter.write_line(line)
