"""Results that outgrow the caches are written past them: to the same bits."""

import numpy as np
import pytest

from fastconv.backend.problem import Conv2dProblem, Epilogue
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv import _cpu
from fastconv.backend import cpu
from tests.native.other_isas import run_again

# (channels, filters, window, stride, groups): whole cache lines per pixel, filters beyond the last
# whole panel, pixels that begin within a line, depthwise
LAYERS = {
    "1x1": (32, 64, 1, 1, 1),
    "3x3": (16, 96, 3, 1, 1),
    "stride": (32, 64, 3, 2, 1),
    "narrow_panel": (32, 80, 3, 1, 1),
    "unaligned": (12, 50, 3, 1, 1),
    "groups": (64, 64, 3, 1, 2),
    "groups_unaligned": (60, 60, 3, 1, 2),
    "depthwise": (64, 64, 3, 1, 64),
    "depthwise_stride": (64, 64, 5, 2, 64),
    "depthwise_unaligned": (50, 50, 3, 1, 50),
}


def problem_of(c, k, window, stride, groups):
    size, pad = 9, window // 2
    out = (size + 2 * pad - window) // stride + 1
    sizes = (2, size, size, c, k, window, window, out, out)
    return Conv2dProblem(*sizes, (stride, stride), (pad,) * 4, (1, 1), groups)


def filled(shape, dtype, seed):
    a = cpu.empty(shape, dtype)  # begins with a cache line
    a[...] = np.random.default_rng(seed).standard_normal(shape)
    return a


def results(p, dtype):
    """Forward with everything that an epilogue has, and both gradients, by every algorithm."""
    x, w, gy = (filled(s, dtype, i) for i, s in enumerate((p.x_shape, p.w_shape, p.y_shape)))
    scale, shift = filled(p.k, dtype, 3), filled(p.k, dtype, 4)
    came = []
    for direction, of in (("fwd", p.y_shape), ("dgrad", p.x_shape), ("wgrad", p.w_shape)):
        for algorithm in cpu.conv2d_algorithms(p, direction, dtype):
            bytes_needed = cpu.conv2d_workspace(p, direction, algorithm, dtype)
            workspace, out = cpu.empty(bytes_needed, np.dtype("u1")), filled(of, dtype, 5)
            if direction == "fwd":
                epilogue = Epilogue(scale, shift, gy)
                cpu.conv2d_fwd(x, w, out, p, algorithm, workspace, epilogue)
            elif direction == "dgrad":
                cpu.conv2d_dgrad(gy, w, out, p, algorithm, workspace)
            else:
                cpu.conv2d_wgrad(x, gy, out, p, algorithm, workspace)
            came.append(out)
    return came


@pytest.fixture
def tiny_cache():
    before = _cpu.set_cache_bytes(1024)
    yield
    _cpu.set_cache_bytes(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_streamed_results_have_the_same_bits(name, dtype, request):
    p, dtype = problem_of(*LAYERS[name]), np.dtype(dtype)
    plain = results(p, dtype)
    request.getfixturevalue("tiny_cache")
    for streamed, expected in zip(results(p, dtype), plain, strict=True):
        np.testing.assert_array_equal(streamed, expected)


def test_the_cache_is_as_large_as_the_machine_says():
    before = _cpu.set_cache_bytes(1024)
    assert _cpu.set_cache_bytes(before) == 1024
    assert 1 << 20 <= before <= 1 << 30


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)
