"""Fixtures of all tests: a seeded generator, the backends, a fixed random state."""

import zlib

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


@pytest.fixture(autouse=True)
def _same_random_state():
    """No test sees what another one drew."""
    fc.manual_seed(0)


def pytest_terminal_summary(terminalreporter):
    """A table of what tests/peers measured; here, as xdist's controller loads no other conftest."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind)]
    properties = [pair for r in reports if r.when == "call" for pair in r.user_properties]
    found = [value for key, value in properties if key == parity_table.PROPERTY]
    if found:
        terminalreporter.section("errors relative to PyTorch in float64, worst per family")
        for line in parity_table.lines(found):
            terminalreporter.write_line(line)
