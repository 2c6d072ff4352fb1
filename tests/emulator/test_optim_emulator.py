"""Optimizer steps over many tensors in the emulator: the bits of the reference."""

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_options, emulator_table
from fastconv.errors import EmulatorError
from tests.emulator.counting import launches, sectors, sectors_per_request

TABLE = emulator_table()

# around a vector, a block and a chunk of 4096; more tensors than one launch takes
SIZES = [0, 1, 3, 4, 5, 0, 1023, 1024, 1025, 4095, 4096, 4097, 3 * 4096 + 2, *range(7, 230), 0]
SGD = [
    # momentum, dampening, weight_decay, nesterov
    (0, 0, 0, False),
    (0, 0, 1e-2, False),
    (0.9, 0, 1e-2, True),
    (0.9, 0.1, 0, False),
]
ADAM = [(0, False), (1e-2, False), (1e-2, True)]  # weight_decay, decoupled


def tensors(sizes, seed, skip=0):
    """One view per size that begins `skip` values after its array."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(skip + n, np.float32)[skip:] for n in sizes]


def run_sgd(K, setting, sizes, steps=3, skip=0):
    momentum, dampening, weight_decay, nesterov = setting
    params, grads = tensors(sizes, 1, skip), tensors(sizes, 2, skip)
    momenta = tensors(sizes, 3, skip) if momentum else None
    for v in momenta or ():
        v[...] = np.nan  # the first step does not read them
    for step in range(steps):
        first = step == 0
        K.sgd_step(
            params, grads, momenta, 0.1, momentum, dampening, weight_decay, nesterov, first
        )  # fmt: skip
    return [*params, *(momenta or ())]


def run_adam(K, setting, sizes, steps=3, skip=0):
    params, grads = tensors(sizes, 1, skip), tensors(sizes, 2, skip)
    m, v = ([np.zeros_like(p) for p in params] for _ in range(2))
    for step in range(1, steps + 1):
        K.adam_step(params, grads, m, v, 1e-2, 0.9, 0.999, 1e-8, *setting, step)
    return [*params, *m, *v]


RUNS = [(run_sgd, s) for s in SGD] + [(run_adam, s) for s in ADAM]


def assert_same(came, expected):
    for a, b in zip(came, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize(("run", "setting"), RUNS)
def test_many_tensors_of_odd_sizes_give_the_bits_of_the_reference(run, setting):
    assert_same(run(TABLE, setting, SIZES), run(reference, setting, SIZES))


@pytest.mark.parametrize(("run", "setting"), RUNS)
@pytest.mark.parametrize("skip", [1, 2])
def test_tensors_that_begin_between_two_vectors(run, setting, skip):
    sizes = [1, 4, 6, 1024, 4096 + 5]
    assert_same(run(TABLE, setting, sizes, 2, skip), run(reference, setting, sizes, 2, skip))


def test_only_some_arrays_of_a_tensor_begin_between_two_vectors():
    p, g = tensors([4099], 1), tensors([4099], 2, skip=1)
    expected = p[0] - np.float32(0.1) * g[0]
    TABLE.sgd_step(p, g, None, 0.1, 0, 0, 0, False, True)
    np.testing.assert_array_equal(p[0], expected)


def test_the_schedule_does_not_matter():
    results = []
    for schedule in ("fifo", "lifo", "random"):
        with emulator_options(schedule=schedule):
            results.append(run_adam(TABLE, (1e-2, True), [5, 4099, 70], 1))
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])


def test_infinities_and_nans_as_the_reference():
    values = np.array([np.inf, -np.inf, np.nan, 1e38, 0.0], np.float32)
    for setting in SGD:
        results = []
        for K in (TABLE, reference):
            p, g = [np.repeat(values, 5)], [np.tile(values, 5)]
            v = [np.zeros(25, np.float32)] if setting[0] else None
            with np.errstate(all="ignore"):
                K.sgd_step(p, g, v, 0.1, *setting, True)
            results.append([*p, *(v or ())])
        assert_same(*results)


def test_no_tensors_and_empty_tensors_launch_nothing():
    def call():
        TABLE.sgd_step([], [], None, 0.1, 0, 0, 0, False, True)
        run_adam(TABLE, (0, False), [0, 0], 1)

    assert launches(call) == 0


@pytest.mark.parametrize(
    ("run", "setting", "expected"), [(run_sgd, SGD[2], 2), (run_adam, ADAM[0], 2)]
)
def test_a_network_of_161_tensors_takes_two_launches(run, setting, expected):
    assert launches(lambda: run(TABLE, setting, [64] * 161, 1)) == expected


@pytest.mark.parametrize(("run", "setting"), RUNS)
@pytest.mark.parametrize("kind", ["read", "write"])
def test_sectors_move_whole(run, setting, kind):
    ideal, moved = sectors(lambda: run(TABLE, setting, [4096, 10000, 2048], 2), kind)
    assert ideal >= 0.9 * moved


@pytest.mark.parametrize(("run", "setting"), RUNS)
@pytest.mark.parametrize("kind", ["read", "write"])
def test_16_bytes_move_per_thread(run, setting, kind):
    assert sectors_per_request(lambda: run(TABLE, setting, [4096, 10240, 2048], 2), kind) == 16


def test_lists_that_do_not_match_are_refused():
    p, g = tensors([4, 5], 1), tensors([4, 5], 2)
    with pytest.raises(ValueError, match=r"sgd_step: grads: expected 2 arrays, came 1"):
        TABLE.sgd_step(p, g[:1], None, 0.1, 0, 0, 0, False, True)
    with pytest.raises(ValueError, match=r"sgd_step: grads\[1\]: expected shape \(5,\)"):
        TABLE.sgd_step(p, [g[0], g[0]], None, 0.1, 0, 0, 0, False, True)
    with pytest.raises(ValueError, match=r"adam_step: exp_avgs: expected 2 arrays, came 0"):
        TABLE.adam_step(p, g, [], [], 0.1, 0.9, 0.999, 1e-8, 0, False, 1)


def test_one_tensor_twice_is_a_race():
    p, g = tensors([64], 1), tensors([64], 2)
    with pytest.raises(EmulatorError, match="race"):
        TABLE.sgd_step(p * 2, g * 2, None, 0.1, 0, 0, 0, False, True)
