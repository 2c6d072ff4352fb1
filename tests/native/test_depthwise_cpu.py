"""Depthwise kernels: lines that cannot be cut into threes and fours, and sums over many pixels."""

import numpy as np
import pytest

from fastconv.backend.problem import Conv2dProblem, Epilogue
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu, reference

DIRECTIONS = ("fwd", "dgrad", "wgrad")
ALGORITHM = "direct_depthwise"


def problem_of(n, size, channels, window, stride=1, pad=0, dilation=1):
    out = [(s + 2 * pad - dilation * (window - 1) - 1) // stride + 1 for s in size]
    sizes = (n, *size, channels, channels, window, window, *out)
    return Conv2dProblem(
        *sizes, (stride, stride), (pad,) * 4, (dilation, dilation), groups=channels
    )


def run(table, p, direction, algorithm, x, w, gy):
    dtype = x.dtype
    workspace = np.empty(table.conv2d_workspace(p, direction, algorithm, dtype), np.uint8)
    shape = {"fwd": p.y_shape, "dgrad": p.x_shape, "wgrad": p.w_shape}[direction]
    out = np.full(shape, np.nan, dtype)
    if direction == "fwd":
        table.conv2d_fwd(x, w, out, p, algorithm, workspace)
    elif direction == "dgrad":
        table.conv2d_dgrad(gy, w, out, p, algorithm, workspace)
    else:
        table.conv2d_wgrad(x, gy, out, p, algorithm, workspace)
    return out


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("columns", range(1, 15))
def test_every_width_of_a_line(columns, window, stride, direction):
    p = problem_of(2, (5, columns + (columns - 1) * (stride - 1)), 19, window, stride, window // 2)
    if min(p.p, p.q) < 1:
        pytest.skip("the window does not fit")
    rng = np.random.default_rng(columns)
    x, w, gy = (
        rng.integers(-4, 5, s).astype(np.float32) for s in (p.x_shape, p.w_shape, p.y_shape)
    )
    expected = run(reference, p, direction, "im2col", x, w, gy)
    np.testing.assert_array_equal(run(cpu, p, direction, ALGORITHM, x, w, gy), expected)


def test_sums_of_many_pixels_keep_the_variance():
    """All pixels of an image but the first, which is 0, are 99.9: sums around the first one would
    lose what they differ by, were they kept in float32 for all of the image."""
    p = problem_of(8, (128, 128), 16, 1)
    x = np.full(p.x_shape, 99.9, np.float32)
    x[:, 0, 0] = 0
    w, y, sums = np.ones(p.w_shape, np.float32), np.empty(p.y_shape, np.float32), np.empty((2, 16))
    workspace = np.empty(cpu.conv2d_workspace(p, "fwd", ALGORITHM, x.dtype), np.uint8)
    cpu.conv2d_fwd(x, w, y, p, ALGORITHM, workspace, Epilogue(sums=sums))
    count = p.n * p.p * p.q
    mean, variance = sums[0] / count, sums[1] / count - (sums[0] / count) ** 2
    exact = x.astype(np.float64)[..., 0]
    np.testing.assert_allclose(mean, exact.mean(), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(), rtol=1e-3)
