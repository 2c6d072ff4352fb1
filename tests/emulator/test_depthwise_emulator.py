"""Depthwise convolution on CUDA, in the emulator: both rules of correctness, adjointness, epilogue,
prologue, schedules and memory traffic, for every compiled window and the kernels of any window."""

from functools import partial

import numpy as np
import pytest

from fastconv.backend.activation import ACTIVATIONS
from fastconv.backend.problem import NO_EPILOGUE, Epilogue
from fastconv.backend.select import backends
from tests.native.conv2d_case import DIRECTIONS, SAME, operands, problem, shapes, truth

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options
from tests.emulator import conv_rules as rules
from tests.emulator.conv_rules import SCHEDULES
from tests.emulator.counting import counters, total

C = 1  # of the error bound; stated in csrc/cuda/depthwise/image_kernel.h and fixed_wgrad.h


def depthwise(n, hw, c, rs, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1)):
    return problem(n, hw, c, c, rs, stride, pad, dilation, groups=c)


PROBLEMS = {
    # compiled windows
    "3x3": depthwise(2, (9, 10), 32, (3, 3), pad=SAME),
    "3x3 stride 2": depthwise(2, (9, 11), 32, (3, 3), (2, 2), SAME),
    "3x3 stride 2, asymmetric": depthwise(1, (8, 7), 36, (3, 3), (2, 2), (0, 1, 0, 1)),
    "5x5": depthwise(1, (9, 13), 8, (5, 5), pad=(2, 2, 2, 2)),
    "5x5 stride 2": depthwise(2, (11, 9), 4, (5, 5), (2, 2), (2, 1, 1, 2)),
    "7x7": depthwise(1, (8, 9), 36, (7, 7), pad=(3, 3, 3, 3)),
    "7x7 stride 2": depthwise(1, (12, 10), 8, (7, 7), (2, 2), (3, 2, 2, 3)),
    "asymmetric": depthwise(2, (5, 6), 4, (3, 3), pad=(0, 2, 3, 1)),
    "padding beyond the window": depthwise(1, (3, 4), 8, (3, 3), pad=(4, 3, 5, 4)),
    "one pixel": depthwise(3, (1, 1), 4, (3, 3), pad=SAME),
    "blocks of channels, images and rows": depthwise(3, (7, 37), 132, (3, 3), pad=SAME),
    "unread inputs": depthwise(1, (8, 8), 4, (3, 3), (2, 2)),
    # any window, vectors
    "dilated": depthwise(2, (9, 8), 32, (3, 3), (1, 1), (2, 2, 3, 3), (2, 3)),
    "stride 3": depthwise(1, (10, 11), 8, (3, 3), (3, 3), SAME),
    "strides that differ": depthwise(1, (7, 8), 4, (3, 3), (1, 2), SAME),
    "5x3": depthwise(2, (8, 7), 36, (5, 3), pad=(2, 2, 1, 1)),
    "1x1": depthwise(2, (5, 4), 4, (1, 1)),
    "window of 9": depthwise(1, (12, 9), 4, (9, 9), pad=(4, 4, 4, 4)),
    # any window, channel by channel
    "2 channels": depthwise(2, (6, 7), 2, (3, 3), pad=SAME),
    "3 channels": depthwise(2, (9, 5), 3, (3, 3), (2, 2), SAME),
    "7 channels": depthwise(1, (6, 7), 7, (5, 5), pad=(2, 2, 2, 2)),
    "67 channels": depthwise(2, (5, 6), 67, (2, 3), (2, 1), (0, 1, 2, 1), (2, 1)),
    "1 channel": depthwise(2, (7, 19), 1, (3, 3), pad=SAME),
    "1 channel, stride and dilation": depthwise(1, (17, 12), 1, (3, 3), (2, 3), SAME, (2, 1)),
}
SUMS = (
    "3x3",
    "5x5 stride 2",
    "7x7",
    "blocks of channels, images and rows",
    "dilated",
    "7 channels",
)


def run(p, direction, a, b, **options):
    """As conv2d_case.run, but without the table, which calls one channel no depthwise problem."""
    out = np.full(shapes(p, direction)[2], np.nan, np.float32)
    size = _emulator.conv2d_workspace(p, direction, "depthwise")
    arguments = [p, "depthwise", np.full(size, 255, np.uint8)]
    if direction == "fwd":
        arguments += [options.get("epilogue", NO_EPILOGUE), options.get("prologue")]
    elif direction == "wgrad":
        arguments += [options.get("prologue")]
    getattr(_emulator, f"conv2d_{direction}")(a, b, out, *arguments, 0)
    return out


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_integers_give_the_bits_of_the_reference(name, direction):
    rules.assert_integers(run, PROBLEMS[name], direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_random_values_stay_within_the_bound_in_every_schedule(name, direction):
    rules.assert_bound(run, PROBLEMS[name], direction, C)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_directions_are_adjoint(name):
    rules.assert_adjoint(run, PROBLEMS[name])


@pytest.mark.parametrize("act", ["identity", "relu", "relu6", "hardswish"])
@pytest.mark.parametrize("name", SUMS)
def test_epilogue(name, act):
    rules.assert_epilogue(run, PROBLEMS[name], act)


@pytest.mark.parametrize("part", ["scale", "shift", "residual", "act", "sums"])
@pytest.mark.parametrize("name", ["3x3 stride 2", "3 channels"])
def test_each_part_of_the_epilogue_alone(name, part):
    rules.assert_part_of_epilogue(run, PROBLEMS[name], part)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation_in_epilogue_and_prologue(act):
    rules.assert_activation(run, PROBLEMS["5x5"], act, tolerance=1e-6)


@pytest.mark.parametrize("act", ["identity", "relu", "relu6"])
@pytest.mark.parametrize("direction", ["fwd", "wgrad"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_prologue(name, direction, act):
    rules.assert_prologue(run, PROBLEMS[name], direction, act)


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_channels_with_a_large_mean(name):
    rules.assert_sums_of_a_large_mean(run, PROBLEMS[name])


def test_infinities_stay_where_the_reference_has_them():
    p = PROBLEMS["3x3 stride 2, asymmetric"]
    x, w = operands(p, "fwd", np.float32, integers=True)
    gy, _ = operands(p, "dgrad", np.float32, integers=True)
    x[0, 3, 4, 5], x[0, 7, 6, 1], w[w == 0], gy[gy == 0] = np.inf, np.nan, 1, 1
    rules.assert_truth(run, p, "fwd", x, w)
    rules.assert_truth(run, p, "wgrad", x, gy)


@pytest.mark.parametrize("rs", [(3, 3), (2, 2)])
def test_empty_arrays(rs):
    rules.assert_empty(run, depthwise(0, (5, 6), 4, rs))
    rules.assert_empty(run, depthwise(2, (1, 1), 4, rs)._replace(p=0, q=0))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_global_memory_moves_whole_sectors(direction, size, stride):
    p = depthwise(1, (14, 16), 32, (size, size), (stride, stride), (size // 2,) * 4)
    a, b = operands(p, direction, np.float32, integers=True)
    rows = counters(lambda: run(p, direction, a, b))
    main = [r for r in rows if r["space"] == "global" and "sum_rows" not in r["kernel"]]
    assert {r["kind"] for r in main} == {"read", "write"}
    assert {r["bytes"] for r in main if r["kind"] == "write"} == (
        {4} if direction == "wgrad" else {16}
    )
    for row in main:
        assert row["ideal"] >= 0.9 * row["transfers"], row


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["3x3", "dilated"])
def test_arrays_that_vectors_do_not_fit(name, direction):
    rules.assert_unaligned(run, PROBLEMS[name], direction)


@pytest.mark.parametrize("c", [64, 30])
def test_blocks_that_sum_several_tiles(c):
    p = depthwise(34000, (1, 1), c, (3, 3), pad=SAME)
    x, w = operands(p, "fwd", np.float32, integers=True)
    sums = np.full((2, p.k), np.nan)
    y = run(p, "fwd", x, w, epilogue=Epilogue(sums=sums))
    np.testing.assert_array_equal(y, x * w[:, 1, 1, 0])
    t = y.astype(np.float64).reshape(-1, c)
    np.testing.assert_array_equal(sums, [t.sum(0), (t * t).sum(0)])
    gw = np.zeros(p.w_shape)
    gw[:, 1, 1, 0] = np.sum(x * y, (0, 1, 2), np.float64)
    np.testing.assert_array_equal(run(p, "wgrad", x, y), gw.astype(np.float32))


def test_refusals():
    p = PROBLEMS["3x3"]
    x, w = operands(p, "fwd", np.float32, integers=True)
    with pytest.raises(ValueError, match="algorithm"):
        _emulator.conv2d_workspace(p._replace(groups=1), "fwd", "depthwise")
    with pytest.raises(ValueError, match="direction"):
        _emulator.conv2d_workspace(p, "backward", "depthwise")
    with pytest.raises(ValueError, match="conv2d_fwd: x: expected shape"):
        run(p, "fwd", x[:1], w)
    with pytest.raises(ValueError, match=r"conv2d_fwd: epilogue\.scale: expected shape"):
        run(p, "fwd", x, w, epilogue=Epilogue(scale=np.ones(3, np.float32)))


@pytest.mark.parametrize("name", ["3x3", "asymmetric", "one pixel", "padding beyond the window"])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_the_steps_of_the_ladder(step, name):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=True)
    for options in SCHEDULES:
        y = np.full(p.y_shape, np.nan, np.float32)
        with emulator_options(**options):
            _emulator.ladder_depthwise(step, x, w, y, p, 0)
        np.testing.assert_array_equal(y, truth(p, "fwd", x, w))


def test_each_step_of_the_ladder_moves_less_than_the_one_before():
    p = depthwise(1, (14, 16), 32, (3, 3), pad=SAME)
    x, w = operands(p, "fwd", np.float32, integers=True)
    y, requests, sectors = np.empty(p.y_shape, np.float32), [], []
    for step in (1, 2, 3, 4):
        rows = counters(partial(_emulator.ladder_depthwise, step, x, w, y, p, 0))
        requests.append(total(rows, "requests", space="global"))
        sectors.append(total(rows, "transfers", space="global"))
    assert requests == sorted(requests, reverse=True)
    assert sectors == sorted(sectors, reverse=True)
