"""Depthwise kernels: lines that cannot be cut into threes and fours, and sums over many pixels."""

import numpy as np
import pytest

from fastconv.backend.problem import Epilogue
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


def test_sums_of_many_pixels_keep_the_variance():
    """All pixels of an image but the first, which is 0, are 99.9: sums around the first one would
    lose what they differ by, were they kept in float32 for all of the image."""
    p = problem(8, (128, 128), 16, 16, (1, 1), groups=16)
    x, w = np.full(p.x_shape, 99.9, np.float32), np.ones(p.w_shape, np.float32)
    x[:, 0, 0] = 0
    sums = np.empty((2, 16))
    run(cpu, p, "fwd", ALGORITHM, x, w, epilogue=Epilogue(sums=sums))
    exact = x.astype(np.float64)[..., 0]
    mean = sums[0] / exact.size
    np.testing.assert_allclose(mean, exact.mean(), rtol=1e-6)
    np.testing.assert_allclose(sums[1] / exact.size - mean**2, exact.var(), rtol=1e-3)


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)
