"""Fixtures of all tests: a seeded generator, the backends, a fixed random state."""

import zlib

import numpy as np
import pytest

import fastconv as fc
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
