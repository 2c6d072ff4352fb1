"""Convolutions of few input channels on CUDA, in the emulator: both rules of correctness,
adjointness, epilogue, prologue, schedules, and what is moved beside the implicit GEMM."""

import numpy as np
import pytest

from fastconv.backend.activation import ACTIVATIONS
from fastconv.backend.problem import Epilogue
from fastconv.backend.select import backends
from fastconv.errors import AlgorithmError
from tests.native.conv2d_case import SAME, draw, operands, problem, run, truth

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv import _emulator
from fastconv.backend.emulator import emulator_table
from tests.emulator import conv_rules as rules
from tests.emulator.counting import counters, total
from tests.emulator.traffic import unaligned

TABLE = emulator_table()

C = 1  # of the error bound; stated in csrc/cuda/stem/fwd.cu and wgrad.cu
DIRECTIONS = ("fwd", "wgrad")

PROBLEMS = {
    # first layers, cut in size
    "ResNet": problem(1, (36, 68), 3, 64, (7, 7), (2, 2), (3, 3, 3, 3)),
    "VGG": problem(1, (18, 36), 3, 64, (3, 3), pad=SAME),
    "MobileNet": problem(2, (33, 64), 3, 32, (3, 3), (2, 2), (0, 1, 0, 1)),
    "AlexNet": problem(1, (67, 35), 3, 96, (11, 11), (4, 4), (2, 2, 2, 2)),
    "LeNet": problem(3, (28, 28), 1, 6, (5, 5), pad=(2, 2, 2, 2)),
    "CIFAR": problem(2, (32, 32), 3, 16, (3, 3), pad=SAME),
    # 1, 2, 4 channels; windows that differ from each other and from a thread's 4 positions
    "1 channel": problem(2, (7, 19), 1, 8, (3, 3), pad=SAME),
    "2 channels": problem(1, (13, 11), 2, 24, (2, 5), (1, 2), (1, 0, 2, 3)),
    "4 channels": problem(2, (9, 10), 4, 40, (3, 3), pad=SAME),
    "window of 11": problem(1, (11, 23), 4, 16, (11, 11), pad=(5, 5, 5, 5)),
    "largest steps": problem(1, (21, 37), 4, 72, (11, 9), (4, 4), (5, 5, 4, 4)),
    "one long row": problem(1, (2, 75), 1, 32, (1, 11), (1, 1), (0, 0, 5, 5)),
    "one tall column": problem(1, (75, 2), 3, 12, (11, 1), (2, 1), (5, 5, 0, 0)),
    "1x1": problem(2, (9, 7), 3, 20, (1, 1)),
    "stride beyond the window": problem(1, (14, 19), 3, 8, (2, 2), (4, 3)),
    # tails
    "1 output channel": problem(1, (9, 9), 3, 1, (3, 3), pad=SAME),
    "70 output channels": problem(1, (9, 21), 3, 70, (3, 3), pad=SAME),
    "67 output channels": problem(1, (9, 5), 3, 67, (3, 3), (2, 2), SAME),
    "asymmetric": problem(2, (5, 6), 3, 16, (3, 3), pad=(0, 2, 3, 1)),
    "padding beyond the window": problem(1, (3, 4), 3, 8, (3, 3), pad=(4, 3, 5, 4)),
    "one pixel": problem(3, (1, 1), 3, 4, (3, 3), pad=SAME),
    "unread inputs": problem(1, (8, 8), 3, 4, (3, 3), (2, 2)),
}


def stem(p, direction, a, b, **options):
    return run(TABLE, p, direction, "stem", a, b, **options)


def test_it_is_the_first_choice():
    for p in (p for p in PROBLEMS.values() if (p.r, p.s) != (1, 1)):
        chosen = [
            TABLE.conv2d_choose(p, d, np.dtype("f"), "ieee") for d in ("fwd", "dgrad", "wgrad")
        ]
        assert chosen == ["stem", "implicit", "stem"]


@pytest.mark.parametrize(
    "p",
    [
        problem(1, (9, 9), 5, 4, (3, 3)),
        problem(1, (9, 9), 4, 4, (3, 3), groups=2),
        problem(1, (9, 9), 3, 4, (3, 3), dilation=(1, 2)),
        problem(1, (20, 20), 3, 4, (12, 3)),
        problem(1, (20, 20), 3, 4, (3, 3), stride=(1, 5)),
    ],
)
def test_what_does_not_fit(p):
    with pytest.raises(AlgorithmError, match="'stem' does not fit"):
        TABLE.conv2d_workspace(p, "fwd", "stem", np.float32)
    with pytest.raises(ValueError, match="algorithm"):
        _emulator.conv2d_workspace(p, "fwd", "stem")


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_integers_give_the_bits_of_the_reference(name, direction):
    rules.assert_integers(stem, PROBLEMS[name], direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_random_values_stay_within_the_bound_in_every_schedule(name, direction):
    rules.assert_bound(stem, PROBLEMS[name], direction, C)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_directions_are_adjoint(name):
    rules.assert_adjoint(stem, PROBLEMS[name], DIRECTIONS)


@pytest.mark.parametrize("act", ["identity", "relu6", "hardswish"])
@pytest.mark.parametrize(
    "name", ["ResNet", "MobileNet", "AlexNet", "LeNet", "67 output channels", "one pixel"]
)
def test_epilogue(name, act):
    # a tile's squares are summed in float32: those of long sums take more than its 24 bits
    rules.assert_epilogue(stem, PROBLEMS[name], act, sums_rtol=1e-7)


@pytest.mark.parametrize("part", ["scale", "shift", "residual", "act", "sums"])
@pytest.mark.parametrize("name", ["VGG", "LeNet"])
def test_each_part_of_the_epilogue_alone(name, part):
    rules.assert_part_of_epilogue(stem, PROBLEMS[name], part)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_every_activation_in_epilogue_and_prologue(act):
    rules.assert_activation(stem, PROBLEMS["asymmetric"], act, tolerance=1e-6)


@pytest.mark.parametrize("act", ["identity", "relu6"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_prologue_leaves_the_padding_zero(name, direction, act):
    rules.assert_prologue(stem, PROBLEMS[name], direction, act)


@pytest.mark.parametrize("name", ["ResNet", "MobileNet", "LeNet", "70 output channels"])
def test_sums_of_channels_with_a_large_mean(name):
    rules.assert_sums_of_a_large_mean(stem, PROBLEMS[name])


@pytest.mark.parametrize("stride", [1, 2])
def test_infinities_stay_where_the_reference_has_them(stride):
    """Also those that pixels beyond the right and lower edge of the output would read."""
    p = problem(1, (10, 13), 3, 8, (3, 3), (stride, stride))
    x, w = operands(p, "fwd", np.float32, integers=True)
    gy = np.ones(p.y_shape, np.float32)
    w[w == 0] = 1
    x[0, 3, 4, 1], x[0, 9, 6, 2], x[0, 5, 12, 0] = np.inf, np.nan, np.inf
    rules.assert_truth(stem, p, "fwd", x, w)
    rules.assert_truth(stem, p, "wgrad", x, gy)


def test_empty_arrays():
    for p in (
        problem(0, (5, 6), 3, 4, (3, 3)),
        problem(2, (1, 1), 3, 4, (3, 3))._replace(p=0, q=0),
        problem(1, (5, 5), 3, 0, (3, 3)),
    ):
        rules.assert_empty(stem, p, DIRECTIONS)


def test_blocks_that_take_several_tiles():
    p = problem(1200, (2, 3), 1, 6, (2, 3), pad=SAME)
    x, w = operands(p, "fwd", np.float32, integers=True)
    sums, wanted = np.full((2, p.k), np.nan), np.full((2, p.k), np.nan)
    y = stem(p, "fwd", x, w, epilogue=Epilogue(sums=sums))
    np.testing.assert_array_equal(y, truth(p, "fwd", x, w, epilogue=Epilogue(sums=wanted)))
    np.testing.assert_array_equal(sums, wanted)
    rules.assert_truth(stem, p, "wgrad", x, y)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["ResNet", "AlexNet", "LeNet", "4 channels"])
def test_arrays_that_begin_inside_a_vector_give_the_same_bits(name, direction):
    p = PROBLEMS[name]
    rules.assert_same_bits_unaligned(stem, p, direction)
    if direction == "wgrad":
        return
    x, w = operands(p, direction, np.float32, integers=False)
    y = unaligned(np.zeros(p.y_shape, np.float32))
    sums, same = np.full((2, p.k), np.nan), np.full((2, p.k), np.nan)
    residual = draw(p.y_shape, np.float32, np.random.default_rng(1), False)
    shift = draw((p.k,), np.float32, np.random.default_rng(2), False)
    workspace = np.empty(TABLE.conv2d_workspace(p, "fwd", "stem", np.float32), np.uint8)
    one = Epilogue(shift=unaligned(shift), residual=unaligned(residual), sums=sums)
    TABLE.conv2d_fwd(x, w, y, p, "stem", workspace, one)
    expected = stem(p, "fwd", x, w, epilogue=Epilogue(None, shift, residual, sums=same))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(sums, same)


# ---- what memory traffic costs


def counted(p, direction, algorithm):
    """Of the main kernel, without the sum of splits."""
    a, b = operands(p, direction, np.float32, integers=True)
    rows = counters(lambda: run(TABLE, p, direction, algorithm, a, b))
    return [r for r in rows if "sum_rows" not in r["kernel"] and "reduce" not in r["kernel"]]


FULL_TILES = {
    "ResNet": problem(1, (64, 64), 3, 64, (7, 7), (2, 2), (3, 3, 3, 3)),
    "VGG": problem(1, (32, 64), 3, 64, (3, 3), pad=SAME),
    "MobileNet": problem(1, (64, 128), 3, 32, (3, 3), (2, 2), SAME),
    "CIFAR": problem(1, (32, 32), 3, 64, (3, 3), pad=SAME),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", FULL_TILES)
def test_loads_and_stores_are_vectors_of_whole_sectors(name, direction):
    rows = counted(FULL_TILES[name], direction, "stem")
    for kind in ("read", "write"):
        which = {"space": "global", "kind": kind, "bytes": 16}
        moved, ideal = total(rows, "transfers", **which), total(rows, "ideal", **which)
        assert ideal >= 0.9 * moved, (kind, ideal, moved)
    # 4 bytes at a time: the weights
    p = FULL_TILES[name]
    assert total(rows, "requests", space="global", kind="write", bytes=4) == 0
    if direction == "wgrad":
        assert total(rows, "requests", space="global", kind="read", bytes=4) == 0
        gradients = p.n * p.p * p.q * p.k * 4 // 32
        assert total(rows, "ideal", space="global", kind="read", bytes=16) >= gradients


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", FULL_TILES)
def test_reading_shared_memory_meets_no_bank_twice(name, direction):
    rows = counted(FULL_TILES[name], direction, "stem")
    which = {"space": "shared", "kind": "read"}
    # some quarters of a warp belong to two parts of a block of the gradient, and read two pixels
    most = 1 if direction == "fwd" else 1.05
    assert total(rows, "transfers", **which) <= most * total(rows, "ideal", **which)
    # elements of x and w are moved to another order on the way
    writes = {"space": "shared", "kind": "write"}
    assert total(rows, "transfers", **writes) <= 2.5 * total(rows, "ideal", **writes)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_moves_less_than_the_implicit_product(direction):
    p = problem(1, (96, 128), 3, 64, (7, 7), (2, 2), (3, 3, 3, 3))
    ours, theirs = (counted(p, direction, name) for name in ("stem", "implicit"))
    # of so few pixels, weights and partial sums are much of what comes from global memory
    for space, most in (("shared", 0.4), ("global", 0.9)):
        moved = [total(rows, "transfers", space=space) for rows in (ours, theirs)]
        assert moved[0] <= most * moved[1], (space, [1e3 * m / p.macs for m in moved])
