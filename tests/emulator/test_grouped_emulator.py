"""Few channels per group on CUDA, in the emulator: what test_conv2d_emulator.py's problems do not
reach of tails, blocks and alignment; epilogue, prologue, infinities; memory traffic."""

import numpy as np
import pytest

from fastconv.backend.activation import ACTIVATIONS
from fastconv.backend.problem import Epilogue
from fastconv.backend.select import backends
from tests.native.conv2d_case import DIRECTIONS, SAME, operands, problem, sum_length
from tests.native.conv2d_case import run as run_algorithm

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv import _emulator
from fastconv.backend.emulator import emulator_table
from tests.emulator import conv_rules as rules
from tests.emulator.counting import counters, total
from tests.emulator.traffic import unaligned

TABLE = emulator_table()

C = 1  # of the error bound; stated in csrc/cuda/grouped/image_kernel.h and wgrad_kernel.h


def grouped(n, hw, groups, c, k=None, stride=1, pad=SAME):
    """c and k: of a group."""
    channels = groups * c, groups * (k or c)
    return problem(n, hw, *channels, (3, 3), (stride, stride), pad, groups=groups)


PROBLEMS = {
    "4 per group": grouped(2, (9, 10), 32, 4),
    "4 per group, stride 2": grouped(2, (9, 11), 32, 4, stride=2),
    "8 per group": grouped(1, (8, 15), 6, 8),
    "8 per group, stride 2": grouped(2, (7, 8), 3, 8, stride=2),
    "16 per group": grouped(1, (5, 9), 4, 16),
    "32 per group": grouped(1, (7, 7), 2, 32),
    "32 per group, stride 2": grouped(1, (9, 8), 2, 32, stride=2),
    # numbers that are no power of two; blocks of groups that are not all full
    "12 per group": grouped(1, (6, 5), 7, 12),
    "20 per group": grouped(1, (5, 5), 3, 20, stride=2),
    "24 per group": grouped(1, (4, 9), 2, 24),
    "28 per group": grouped(1, (3, 5), 2, 28),
    "35 groups": grouped(1, (4, 5), 35, 4),
    "33 groups of 8, stride 2": grouped(1, (5, 6), 33, 8, stride=2),
    # other numbers of channels out than in
    "4 to 8": grouped(2, (6, 7), 5, 4, 8),
    "8 to 4, stride 2": grouped(1, (7, 9), 5, 8, 4, stride=2),
    "4 to 32": grouped(1, (5, 4), 9, 4, 32),
    "32 to 4": grouped(1, (5, 4), 9, 32, 4),
    "12 to 20": grouped(1, (5, 6), 3, 12, 20),
    # where patches and images end
    "one pixel": grouped(3, (1, 1), 2, 4),
    "one column": grouped(2, (9, 1), 2, 8),
    "one row, two patches and one pixel": grouped(1, (1, 15), 3, 4),
    "asymmetric": grouped(2, (5, 6), 2, 4, pad=(0, 2, 3, 1)),
    "asymmetric, stride 2": grouped(1, (8, 7), 2, 8, stride=2, pad=(0, 1, 0, 1)),
    "no padding, stride 2, unread inputs": grouped(1, (8, 10), 2, 4, stride=2, pad=(0,) * 4),
    "padding beyond the window": grouped(1, (3, 4), 2, 4, pad=(4, 3, 5, 4)),
    "padding beyond the window, stride 2": grouped(1, (3, 4), 2, 4, stride=2, pad=(5, 4, 4, 5)),
    "blocks of images and rows": grouped(3, (9, 37), 17, 8),
    "empty batch": grouped(0, (5, 6), 2, 4),
}
SUMS = ("4 per group", "8 per group, stride 2", "12 per group", "4 to 32", "one pixel")
LAYERS = {
    "4 per group": grouped(1, (14, 14), 32, 4),
    "4 per group, stride 2": grouped(1, (14, 14), 32, 4, stride=2),
    "8 per group": grouped(1, (14, 14), 16, 8),
    "16 per group, stride 2": grouped(1, (14, 14), 8, 16, stride=2),
    "12 per group": grouped(1, (14, 14), 6, 12),
    "24 per group": grouped(1, (14, 14), 2, 24),
    "32 per group": grouped(1, (7, 7), 2, 32),
}
# conflicts: a warp that begins inside of a pixel's 6 or 12 vectors reads weights of two patches
SHARED_READS = {"12 per group": 0.86, "24 per group": 0.96}


def run(p, direction, a, b, **options):
    return run_algorithm(TABLE, p, direction, "grouped", a, b, **options)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_the_first_choice(name):
    p = PROBLEMS[name]
    assert TABLE.conv2d_choose(p, "fwd", np.float32, "ieee") == "grouped"


@pytest.mark.parametrize(
    "p",
    [
        grouped(1, (5, 5), 2, 36),
        grouped(1, (5, 5), 2, 4, 36),
        grouped(1, (5, 5), 2, 6),
        grouped(1, (5, 5), 1, 4),
        problem(1, (5, 5), 8, 8, (3, 3), (1, 2), SAME, groups=2),
        problem(1, (7, 7), 8, 8, (3, 3), (3, 3), SAME, groups=2),
        problem(1, (7, 7), 8, 8, (3, 3), (1, 1), SAME, (2, 1), groups=2),
        problem(1, (7, 7), 8, 8, (5, 5), groups=2),
        problem(1, (7, 7), 8, 8, (3, 1), groups=2),
        problem(1, (7, 7), 8, 8, (1, 1), groups=2),
    ],
    ids=str,
)
def test_what_does_not_fit_goes_elsewhere(p):
    assert "grouped" not in TABLE.conv2d_algorithms(p, "fwd", np.float32)
    with pytest.raises(ValueError, match="algorithm"):
        _emulator.conv2d_workspace(p, "fwd", "grouped")


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_integers_give_the_bits_of_the_reference(name, direction):
    rules.assert_integers(run, PROBLEMS[name], direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_random_values_stay_within_the_bound_in_every_schedule(name, direction):
    schedules = rules.SCHEDULES_OF_COPIES
    rules.assert_bound(run, PROBLEMS[name], direction, C, schedules=schedules)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_directions_are_adjoint(name):
    rules.assert_adjoint(run, PROBLEMS[name])


@pytest.mark.parametrize("act", ["identity", "relu6", "hardswish"])
@pytest.mark.parametrize("name", [*SUMS, "empty batch"])
def test_epilogue(name, act):
    rules.assert_epilogue(run, PROBLEMS[name], act)


@pytest.mark.parametrize("part", ["scale", "shift", "residual", "act", "sums"])
def test_each_part_of_the_epilogue_alone(part):
    rules.assert_part_of_epilogue(run, PROBLEMS["8 per group, stride 2"], part)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("name", ["4 per group", "8 per group, stride 2"])
def test_every_activation_in_epilogue_and_prologue(name, act):
    p = PROBLEMS[name]
    # sums of several are rounded, and some activations end at 1
    tolerance = C * np.sqrt(sum_length(p, "fwd")) * np.finfo(np.float32).eps
    rules.assert_activation(run, p, act, tolerance, least=4)


@pytest.mark.parametrize("act", ["identity", "relu"])
@pytest.mark.parametrize("direction", ["fwd", "wgrad"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_prologue(name, direction, act):
    rules.assert_prologue(run, PROBLEMS[name], direction, act)


@pytest.mark.parametrize("name", SUMS[:3])
def test_sums_of_channels_with_a_large_mean(name):
    rules.assert_sums_of_a_large_mean(run, PROBLEMS[name])


@pytest.mark.parametrize(
    "name", ["4 per group", "8 per group, stride 2", "one row, two patches and one pixel"]
)
def test_infinities_stay_where_the_reference_has_them(name):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=True)
    gy, _ = operands(p, "dgrad", np.float32, integers=True)
    w[w == 0] = gy[gy == 0] = 1
    x[0, 0, -1, 5], x[-1, -1, 6, 1], x[0, 0, 3, -1] = np.inf, np.nan, -np.inf
    rules.assert_truth(run, p, "fwd", x, w)
    rules.assert_truth(run, p, "wgrad", x, gy)
    gy[0, 0, -1, 2], gy[-1, -1, 0, 4] = np.inf, np.nan
    rules.assert_truth(run, p, "dgrad", gy, w)


def test_no_output_pixels():
    rules.assert_empty(run, grouped(2, (1, 1), 2, 4)._replace(p=0, q=0))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["4 per group", "8 to 4, stride 2"])
def test_arrays_that_vectors_do_not_fit(name, direction):
    rules.assert_unaligned(run, PROBLEMS[name], direction)


def test_the_workspace_is_enough_for_arrays_that_vectors_do_not_fit():
    p = grouped(1, (20, 8), 2, 32)  # implicit GEMM has more tiles to sum up than there are blocks
    x, w = operands(p, "fwd", np.float32, integers=True)
    sums = np.full((2, p.k), np.nan)
    y = run(p, "fwd", unaligned(x), w, epilogue=Epilogue(sums=sums))
    np.testing.assert_array_equal(sums, [y.sum((0, 1, 2)), (y.astype("d") ** 2).sum((0, 1, 2))])


def test_blocks_that_do_several_tiles():
    p = grouped(34000, (1, 1), 4, 16)
    x, w = operands(p, "fwd", np.float32, integers=True)
    sums = np.full((2, p.k), np.nan)
    y = run(p, "fwd", x, w, epilogue=Epilogue(sums=sums))
    by_group = x.reshape(-1, 4, 16)
    middle = w[:, 1, 1].reshape(4, 16, 16)
    expected = np.einsum("ngc,gkc->ngk", by_group, middle)
    np.testing.assert_array_equal(y.reshape(expected.shape), expected)
    t = y.astype(np.float64).reshape(-1, p.k)
    np.testing.assert_array_equal(sums, [t.sum(0), (t * t).sum(0)])
    gw = run(p, "wgrad", x, np.sign(y))
    wanted = np.einsum("ngk,ngc->gkc", np.sign(t).reshape(-1, 4, 16), by_group.astype(np.float64))
    np.testing.assert_array_equal(gw[:, 1, 1].reshape(4, 16, 16), wanted)
    gw[:, 1, 1] = 0
    assert not gw.any()


# ---- memory traffic


def needed_of(rows, **which):
    return total(rows, "ideal", **which) / total(rows, "transfers", **which)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_memory_moves_whole_sectors_in_vectors(name, direction):
    p = LAYERS[name]
    a, b = operands(p, direction, np.float32, integers=True)
    rows = [r for r in counters(lambda: run(p, direction, a, b)) if "grouped" in r["kernel"]]
    vectors = [r for r in rows if (r["space"], r["kind"]) != ("shared", "write")]
    assert {r["bytes"] for r in vectors} == {16}
    for kind in ("read", "write"):
        needed = needed_of(rows, space="global", kind=kind)
        assert needed >= 0.94, (kind, needed)
    assert needed_of(rows, space="shared", kind="read") >= SHARED_READS.get(name, 1)
    # weights are stored without conflicts; sums of the gradient once per block, with some
    least = 0.25 if direction == "wgrad" else 1
    assert needed_of(rows, space="shared", kind="write") >= least
