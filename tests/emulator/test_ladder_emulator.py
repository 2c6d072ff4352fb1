"""The ladder of the dense convolution in the emulator: every step gives the reference's bits, and
each asks global memory less often than the one before it."""

from itertools import pairwise

import numpy as np
import pytest

from fastconv.backend.select import backends
from tests.native.conv2d_case import SAME, operands, problem, truth

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options
from tests.emulator.counting import counters, total
from tests.emulator.traffic import unaligned

STEPS = (1, 2, 3, 4)
SCHEDULES = [
    {"schedule": "fifo"},
    {"schedule": "lifo"},
    {"schedule": "random", "seed": 5},
    {"eager_copies": True},
]
PROBLEMS = {
    # several blocks along both axes, tails of the largest tiles, channels past a turn
    "3x3": problem(2, (9, 9), 20, 68, (3, 3), pad=SAME),
    "3x3 stride 2, asymmetric": problem(1, (8, 7), 36, 5, (3, 3), (2, 1), (0, 1, 2, 0)),
    "1x1 stride 2": problem(2, (5, 6), 48, 17, (1, 1), (2, 2)),
    "one pixel, 4 channels": problem(1, (1, 1), 4, 1, (3, 3), pad=SAME),
    "padding beyond the window": problem(1, (3, 2), 8, 4, (3, 3), (1, 3), (4, 3, 5, 4)),
    "one turn": problem(3, (4, 4), 16, 16, (1, 1)),
}


def run(step, p, x, w):
    y = np.full(p.y_shape, np.nan, np.float32)
    _emulator.ladder_conv2d(step, x, w, y, p, 0)
    return y


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("step", STEPS)
def test_steps_give_the_bits_of_the_reference(step, name):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=True)
    expected = truth(p, "fwd", x, w)
    for options in SCHEDULES:
        with emulator_options(**options):
            np.testing.assert_array_equal(run(step, p, x, w), expected, err_msg=str(options))


def rows_of(step, p):
    x, w = operands(p, "fwd", np.float32, integers=True)
    return counters(lambda: run(step, p, x, w))


@pytest.mark.parametrize("window", [1, 3])
def test_each_step_asks_global_memory_less_often(window):
    pad = SAME if window == 3 else (0, 0, 0, 0)
    p = problem(1, (16, 16), 32, 64, (window, window), pad=pad)
    rows = {step: rows_of(step, p) for step in STEPS}
    requests = [total(rows[step], "requests", space="global", kind="read") for step in STEPS]
    assert all(a > b for a, b in pairwise(requests)), requests
    # what the heads of the files say: 16 times fewer loads, then 16 bytes each and larger tiles
    assert requests[0] > 14 * requests[1] > 14 * 14 * requests[2]


@pytest.mark.parametrize("step", [2, 3, 4])
def test_tiles_read_whole_sectors_and_meet_no_bank_twice(step):
    rows = rows_of(step, problem(1, (16, 16), 32, 64, (3, 3), pad=SAME))
    kinds = [("global", "read"), ("shared", "read")]
    if step > 2:  # two lines 17 apart, which a warp of step 2 writes at once, share a bank
        kinds.append(("shared", "write"))
    for space, kind in kinds:
        moved, ideal = (total(rows, key, space=space, kind=kind) for key in ("transfers", "ideal"))
        assert ideal >= 0.9 * moved, f"{space} {kind}: {moved}, ideal {ideal}"


def test_refusals():
    p = PROBLEMS["1x1 stride 2"]
    x, w = operands(p, "fwd", np.float32, integers=True)
    for step in (0, 5):
        with pytest.raises(ValueError, match="ladder_conv2d: step: expected 1 to 4"):
            run(step, p, x, w)
    for wrong in (
        problem(1, (5, 6), 8, 4, (3, 3), groups=2),
        problem(1, (5, 6), 8, 4, (3, 3), dilation=(2, 1)),
        problem(1, (5, 6), 6, 4, (3, 3)),
        problem(1, (5, 6), 8, 4, (3, 1)),
        problem(0, (5, 6), 8, 4, (3, 3)),
    ):
        with pytest.raises(ValueError, match="ladder_conv2d: problem: expected dense"):
            run(1, wrong, x, w)
    with pytest.raises(ValueError, match="ladder_conv2d: x: expected shape"):
        run(1, p, x[:1], w)
    with pytest.raises(ValueError, match="aligned to 16 bytes"):
        run(1, p, unaligned(x), w)
