"""Element-wise CUDA kernels in the emulator: what tests/native/kernel_cases*.py do not reach."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.activation import Activation
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_table

TABLE = emulator_table()

RELU = Activation("relu")


@pytest.mark.parametrize("size", [1, 3, 4, 1023, 1029])
@pytest.mark.parametrize("shifts", [(0, 0, 0), (1, 1, 1), (0, 2, 0), (0, 0, 3)])
def test_views_that_are_not_aligned_to_a_vector(size, shifts, rng):
    """They go element by element; the emulator keeps their place inside a vector."""
    values = rng.integers(-3, 4, (2, size)).astype(np.float32)
    a, b, y = (np.empty(size + 4, np.float32)[shift : shift + size] for shift in shifts)
    a[:], b[:] = values
    expected = np.empty(size, np.float32)
    for run in (
        lambda K, out: K.add(a, b, out, RELU),
        lambda K, out: K.activation_fwd(a, out, RELU),
        lambda K, out: K.activation_bwd(a, b, out, RELU),
    ):
        run(TABLE, y)
        run(reference, expected)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("act", ["relu", "relu6", "hardsigmoid", "hardswish"])
def test_where_an_activation_is_flat_nothing_comes_back(act):
    """Not even an infinite gradient: 0 * inf would be NaN."""
    gy = np.array([np.inf, -np.inf, np.nan, 1, 2], np.float32)
    saved = np.array([-4, -4, -4, -4, 0.5], np.float32)
    ours, theirs = np.empty_like(gy), np.empty_like(gy)
    TABLE.activation_bwd(gy, saved, ours, Activation(act))
    reference.activation_bwd(gy, saved, theirs, Activation(act))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert (ours[:4] == 0).all()
