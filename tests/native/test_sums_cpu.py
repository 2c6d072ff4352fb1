"""Per-channel sums of the epilogue, for batch norm: csrc/cpu/kernels/pivot_sums.h."""

import numpy as np
import pytest

from fastconv.backend.problem import Epilogue
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu
from tests.native.conv2d_case import problem, run
from tests.native.other_isas import run_again


@pytest.mark.parametrize(
    ("algorithm", "groups"), [("direct_depthwise", 16), ("1x1", 1), ("implicit", 1)]
)
def test_sums_of_many_pixels_keep_the_variance(algorithm, groups):
    """All pixels of an image but the first, which is 0, are 99.9: sums around the first one would
    lose what they differ by, were they kept in float32 for all of the image."""
    p = problem(8, (128, 128), 16, 16, (1, 1), groups=groups)
    x = np.full(p.x_shape, 99.9, np.float32)
    x[:, 0, 0] = 0
    same = np.ones(p.w_shape) if groups > 1 else np.eye(16).reshape(p.w_shape)
    sums = np.empty((2, 16))
    run(cpu, p, "fwd", algorithm, x, same.astype(np.float32), epilogue=Epilogue(sums=sums))
    exact = x.astype(np.float64)[..., 0]
    mean = sums[0] / exact.size
    np.testing.assert_allclose(mean, exact.mean(), rtol=1e-6)
    np.testing.assert_allclose(sums[1] / exact.size - mean**2, exact.var(), rtol=1e-3)


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)
