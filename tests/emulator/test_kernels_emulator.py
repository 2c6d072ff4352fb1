"""Every CUDA kernel but convolution and matrix product, in the emulator, against the reference."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.select import backends
from tests.native.kernel_cases import CASES

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_options, emulator_table

TABLE = emulator_table()

SCHEDULES = [{"schedule": "fifo"}, {"schedule": "lifo"}, {"schedule": "random", "seed": 5}]
EXACT = [name for name, case in CASES.items() if case.exact]
BATCHED = [name for name in CASES if not name.startswith(("sgd", "adam", "batch_norm_prepare"))]


def assert_same(came, expected):
    for i, (a, b) in enumerate(zip(came, expected, strict=True)):
        np.testing.assert_array_equal(a, b, strict=True, err_msg=f"output {i}")


@pytest.mark.parametrize("name", EXACT)
def test_integers_give_the_bits_of_the_reference(name):
    case = CASES[name]
    truth = case.run(reference, np.float32, integers=True)
    assert_same(case.run(TABLE, np.float32, integers=True), truth)


@pytest.mark.parametrize("name", CASES)
def test_random_values_stay_within_the_bound_in_every_schedule(name):
    case = CASES[name]
    eps = np.finfo(np.float32).eps
    truth = case.run(reference, np.float64)
    results = []
    for options in SCHEDULES:
        with emulator_options(**options):
            results.append(case.run(TABLE, np.float32))
    for other in results[1:]:
        assert_same(other, results[0])
    for i, (y, y64) in enumerate(zip(results[0], truth, strict=True)):
        assert y.shape == y64.shape
        if y.dtype != np.float32:  # argmax
            np.testing.assert_array_equal(y, y64)
            continue
        bound = case.error * eps * np.max(np.abs(y64), initial=0)
        assert np.all(np.abs(y - y64) <= bound), (
            f"output {i}: {np.max(np.abs(y - y64)) / eps / np.max(np.abs(y64))} eps"
        )


@pytest.mark.parametrize("name", BATCHED)
def test_an_empty_batch(name):
    case = CASES[name]
    assert_same(case.run(TABLE, np.float32, n=0), case.run(reference, np.float32, n=0))
