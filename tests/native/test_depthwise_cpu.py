"""Depthwise kernels: lines that cannot be cut into threes and fours."""

import numpy as np
import pytest

from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu
from tests.native.conv2d_case import DIRECTIONS, operands, problem, run, truth
from tests.native.other_isas import run_again

ALGORITHM = "direct_depthwise"


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("columns", range(1, 15))
def test_every_width_of_a_line(columns, window, stride, direction):
    size, pad = (5, 1 + (columns - 1) * stride), (window // 2,) * 4
    p = problem(2, size, 19, 19, (window, window), (stride, stride), pad, groups=19)
    a, b = operands(p, direction, np.float32, integers=True)
    came = run(cpu, p, direction, ALGORITHM, a, b)
    np.testing.assert_array_equal(came, truth(p, direction, a, b))


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)
