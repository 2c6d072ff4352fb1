"""Winograd's F(4x4, 3x3) on CUDA, in the emulator: error bound, epilogue, prologue, schedules,
memory traffic, and when it is chosen.

Results are rounded: no test here compares bits with the reference. Infinities are exempt, too:
values of a tile mix, so that one of them may make all outputs of its tile NaN
(csrc/cuda/winograd/winograd.cu).
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.backend import cuda
from fastconv.backend.activation import ACTIVATIONS
from fastconv.backend.cuda_cost import winograd_pays
from fastconv.backend.problem import Epilogue
from fastconv.backend.select import backends
from fastconv.core.state import overridden
from fastconv.errors import AlgorithmError
from tests.native.conv2d_case import SAME, operands, problem, run, shapes, truth
from tests.native.conv_rules import TILES, C, error_bound

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options, emulator_table
from tests.emulator import conv_rules as rules
from tests.emulator.counting import counters

TABLE = emulator_table()

NAME = "winograd"
DIRECTIONS = ("fwd", "dgrad")
BOUND = {"c": C[NAME], "tile": TILES[NAME]}
TOLERANCE = 2e-5  # of a largest element: what rounding leaves of results of these sizes
PROBLEMS = {
    "one tile": problem(1, (4, 4), 8, 32, (3, 3), pad=SAME),
    "one pixel": problem(1, (1, 1), 8, 4, (3, 3), pad=SAME),
    "tails of rows and columns": problem(3, (7, 9), 8, 12, (3, 3), pad=SAME),
    "several blocks": problem(2, (17, 22), 8, 72, (3, 3), pad=SAME),
    "tails of channels": problem(1, (6, 5), 20, 36, (3, 3), pad=SAME),
    "odd channels": problem(2, (6, 5), 3, 35, (3, 3), pad=SAME),
    "1 channel": problem(2, (5, 6), 1, 1, (3, 3)),
    "many steps": problem(1, (4, 8), 72, 4, (3, 3), pad=SAME),
    "no padding": problem(1, (9, 10), 8, 8, (3, 3)),
    "asymmetric": problem(1, (5, 6), 4, 8, (3, 3), pad=(0, 2, 3, 1)),
    "padding beyond the window": problem(1, (3, 4), 4, 4, (3, 3), pad=(4, 3, 5, 4)),
}
# of ResNet and VGG, cut to a few pixels
LAYERS = {
    "64": problem(1, (8, 8), 64, 64, (3, 3), pad=SAME),
    "256": problem(1, (8, 8), 256, 32, (3, 3), pad=SAME),
    "512": problem(2, (7, 7), 512, 32, (3, 3), pad=SAME),
}


def winograd(p, direction, a, b, **options):
    return run(TABLE, p, direction, NAME, a, b, **options)


# ---- values


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_values_stay_within_the_bound_in_every_schedule(name, direction):
    schedules = rules.SCHEDULES_OF_COPIES
    rules.assert_bound(winograd, PROBLEMS[name], direction, **BOUND, schedules=schedules)


@pytest.mark.parametrize("mean", [0, 10])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_keep_what_the_precision_promises(name, direction, mean):
    p = LAYERS[name]
    a, b = operands(p, direction, np.float32, integers=False)
    a = a + np.float32(mean)
    y64 = truth(p, direction, a, b)
    error = np.abs(winograd(p, direction, a, b) - y64)
    magnitude = truth(p, direction, np.abs(a), np.abs(b))
    assert np.all(error <= error_bound(p, direction, magnitude, **BOUND))
    # "default" promises 1e-4
    assert error.max() <= 2e-5 * np.sqrt(np.mean(y64**2))


@pytest.mark.parametrize("name", ["tails of rows and columns", "several blocks", "asymmetric"])
def test_the_directions_are_adjoint(name):
    rules.assert_adjoint(winograd, PROBLEMS[name], DIRECTIONS, tolerance=1e-5)


# ---- epilogue and prologue


@pytest.mark.parametrize("act", ["identity", "relu", "silu"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", ["several blocks", "odd channels", "tails of rows and columns"])
def test_epilogue(name, residual, act):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=False)
    ours = rules.epilogue_of(p, act, integers=False)
    if not residual:
        ours = ours._replace(residual=None)
    theirs, sums = rules.wide(ours), ours.sums
    y, y64 = winograd(p, "fwd", x, w, epilogue=ours), truth(p, "fwd", x, w, epilogue=theirs)
    rules.assert_close(y, y64, TOLERANCE)
    exact = theirs.sums
    np.testing.assert_allclose(sums, exact, rtol=1e-5, atol=1e-4 * np.abs(exact).max())
    # the sums are those of what is stored
    plain = winograd(p, "fwd", x, w, epilogue=Epilogue(ours.scale, ours.shift))
    t = plain.astype(np.float64).reshape(-1, p.k)
    rounding = 1e-7 * np.abs(t).sum(0).max()
    np.testing.assert_allclose(sums, [t.sum(0), (t * t).sum(0)], rtol=1e-6, atol=rounding)
    once = sums.copy()
    sums[...] = np.nan
    with emulator_options(schedule="random", seed=8):
        winograd(p, "fwd", x, w, epilogue=ours)
    np.testing.assert_array_equal(sums, once)


@pytest.mark.parametrize("part", ["scale", "shift", "residual", "act"])
def test_each_part_of_the_epilogue_alone(part):
    rules.assert_part_of_epilogue(winograd, PROBLEMS["tails of channels"], part, TOLERANCE)


def test_sums_of_channels_with_a_large_mean():
    rules.assert_sums_of_a_large_mean(winograd, PROBLEMS["several blocks"])


@pytest.mark.parametrize(
    "name", ["several blocks", "tails of channels", "asymmetric", "odd channels"]
)
def test_prologue_leaves_the_padding_zero(name):
    rules.assert_prologue(winograd, PROBLEMS[name], "fwd", "hardswish", TOLERANCE)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation_in_epilogue_and_prologue(act):
    rules.assert_activation(winograd, PROBLEMS["asymmetric"], act, TOLERANCE, least=1)


# ---- corners


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_arrays_that_begin_inside_a_vector_give_the_same_bits(direction):
    rules.assert_same_bits_unaligned(winograd, PROBLEMS["several blocks"], direction)


@pytest.mark.parametrize("size", [(0, 5, 5), (2, 1, 1)])
def test_empty_arrays(size):
    n, h, w = size
    p = problem(n, (h, w), 8, 4, (3, 3)) if h == 1 else problem(n, (h, w), 8, 4, (3, 3), pad=SAME)
    p = p._replace(p=max(p.p, 0), q=max(p.q, 0))
    rules.assert_empty(winograd, p, DIRECTIONS)


def test_an_infinity_reaches_the_tile_that_reads_it_and_no_other():
    p = problem(1, (12, 12), 4, 4, (3, 3), pad=SAME)
    x, w = operands(p, "fwd", np.float32, integers=False)
    x[0, 0, 0, 1] = np.inf
    y = winograd(p, "fwd", x, w)
    assert not np.isfinite(y[0, :2, :2]).any()
    assert np.isfinite(y[0, 4:]).all() and np.isfinite(y[0, :, 4:]).all()


def test_refusals():
    p = PROBLEMS["one tile"]
    for other in (p._replace(stride=(2, 2)), p._replace(groups=2), p._replace(dilation=(2, 1))):
        with pytest.raises(AlgorithmError, match="'winograd' does not fit"):
            TABLE.conv2d_workspace(other, "fwd", NAME, np.float32)
        with pytest.raises(ValueError, match="algorithm"):
            _emulator.conv2d_workspace(other, "fwd", NAME)
    with pytest.raises(AlgorithmError, match="'winograd' does not fit"):
        TABLE.conv2d_workspace(p, "wgrad", NAME, np.float32)
    with pytest.raises(ValueError, match="fits the problem and direction, came winograd"):
        _emulator.conv2d_workspace(p, "wgrad", NAME)


# ---- what memory traffic costs


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_loads_and_stores_move_what_they_must(direction):
    p = problem(1, (32, 32), 32, 64, (3, 3), pad=SAME)
    a, b = operands(p, direction, np.float32, integers=False)
    rows = counters(lambda: winograd(p, direction, a, b))
    rows = [r for r in rows if "winograd" in r["kernel"]]
    moved = {}
    for row in rows:
        key = ("weights" in row["kernel"], row["space"], row["kind"])
        ideal, transfers = moved.get(key, (0, 0))
        moved[key] = (ideal + row["ideal"], transfers + row["transfers"])
    assert len(moved) == 8
    for (weights, space, _), (ideal, transfers) in moved.items():
        if space == "shared" and not weights:
            assert transfers == ideal, moved  # no bank is met twice
        else:
            # of the weights, two warps' shares of the last four frequencies meet in some banks
            assert ideal >= 0.9 * transfers, moved
    sector = 8  # elements
    stored = moved[False, "global", "write"][0]
    assert stored * sector == np.prod(shapes(p, direction)[2])


# ---- choice


LARGE = problem(32, (56, 56), 64, 64, (3, 3), pad=SAME)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_large_layers_choose_it_unless_the_precision_forbids_it(direction):
    chosen = {q: TABLE.conv2d_choose(LARGE, direction, np.float32, q) for q in ("ieee", "default")}
    assert chosen == {"ieee": "implicit", "default": NAME}


def test_it_is_not_chosen_where_it_does_not_pay_or_fit():
    deep = LARGE._replace(c=4096)  # too many rounding errors
    few_tiles, few_channels = LARGE._replace(n=1, h=7, w=7, p=7, q=7), LARGE._replace(c=3)
    strided = LARGE._replace(stride=(2, 2), p=28, q=28)
    for p in (*PROBLEMS.values(), few_tiles, few_channels, strided, deep, LARGE._replace(n=0)):
        assert TABLE.conv2d_choose(p, "fwd", np.float32, "default") != NAME
    assert TABLE.conv2d_choose(LARGE, "wgrad", np.float32, "default") == "implicit"


def test_rounding_up_to_tiles_counts():
    """5 x 5 outputs take the tiles of 8 x 8."""
    filled, cut = (problem(512, (s, s), 64, 64, (3, 3), pad=SAME) for s in (8, 5))
    assert winograd_pays(filled, "fwd") and not winograd_pays(cut, "fwd")


def test_a_forced_algorithm_runs_in_every_precision():
    rng = np.random.default_rng(2)
    x, w = (
        rng.standard_normal((1, 6, 6, 8), np.float32),
        rng.standard_normal((4, 3, 3, 8), np.float32),
    )
    results = []
    with fc.use_backend("emulator"):
        for precision in ("ieee", "default"):
            with overridden("precision", precision), fc.use_algorithm(NAME):
                results.append(fc.functional.conv2d(x, w, padding=1))
        plain = fc.functional.conv2d(x, w, padding=1)
    np.testing.assert_array_equal(*results)
    assert not np.array_equal(results[0], plain)
    np.testing.assert_allclose(results[0], plain, rtol=0, atol=1e-4)


def training_step(backend, precision):
    """Names of the algorithms, loss and gradients of two fused convolutions and a plain one."""
    fc.manual_seed(3)
    convolutions = [
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Conv2d(16, 12, 3),
    ]
    norms = [nn.BatchNorm2d(16), nn.BatchNorm2d(16)]
    rng = np.random.default_rng(4)
    x = fc.tensor(rng.standard_normal((2, 9, 10, 8), np.float32), requires_grad=True)
    with fc.use_backend(backend), overridden("precision", precision), fc.Trace() as trace:
        t = nn.conv_bn_act(x, convolutions[0], norms[0], "silu")
        t = nn.conv_bn_act(t, convolutions[1], norms[1], "relu", residual=t)
        y = convolutions[2](t)
        y.backward(rng.standard_normal(y.shape).astype(np.float32))
    parameters = [p for m in (*convolutions, *norms) for p in m.parameters()]
    names = {r.kernel for r in trace.records if r.kernel}
    return names, [y.numpy(), x.grad.numpy(), *(p.grad.numpy() for p in parameters)]


def test_training_goes_through_it_as_through_the_reference(monkeypatch):
    monkeypatch.setattr(cuda, "winograd_pays", lambda problem, direction: True)
    cuda._chosen.cache_clear()
    try:
        names, ours = training_step("emulator", "default")
        plain, _ = training_step("emulator", "ieee")
    finally:
        cuda._chosen.cache_clear()
    assert (names, plain) == ({NAME}, {"implicit"})
    _, theirs = training_step("reference", "ieee")
    for a, b in zip(ours, theirs, strict=True):
        # the bias before a batch norm has a gradient of rounding errors
        assert np.abs(a - b).max() <= 1e-3 * max(1e-1, np.abs(b).max())
