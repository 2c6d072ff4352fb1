"""Depthwise and grouped kernels (csrc/cpu/kernels/lanes*): every way the work can be cut, exact."""

from itertools import product

import numpy as np
import pytest

from fastconv.backend.activation import Activation
from fastconv.backend.problem import Epilogue, Prologue
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu
from tests.native.conv2d_case import (
    DIRECTIONS,
    DTYPES,
    SAME,
    draw,
    operands,
    problem,
    run,
    sum_length,
    truth,
)
from tests.native.other_isas import run_again


def depthwise(n, hw, c, r, stride=(1, 1), pad=None, dilation=(1, 1)):
    pad = (r // 2,) * 4 if pad is None else pad
    return problem(n, hw, c, c, (r, r), stride, pad, dilation, groups=c)


def grouped(n, hw, c, group, r=3, stride=(1, 1), pad=SAME, dilation=(1, 1)):
    return problem(n, hw, c, c, (r, r), stride, pad, dilation, groups=c // group)


PROBLEMS = {
    "3x3": depthwise(2, (14, 14), 48, 3),
    "channels_below_a_vector": depthwise(2, (9, 7), 3, 3),
    "channels_above_a_vector": depthwise(1, (7, 29), 17, 3),  # tiles of 14 and a rest of 1
    "5x5_stride": depthwise(2, (15, 12), 35, 5, (2, 2)),
    "7x7": depthwise(2, (7, 7), 40, 7),
    "7x7_strips": depthwise(1, (9, 190), 18, 7),  # a row does not fit the first-level cache
    "bands": depthwise(3, (150, 40), 20, 3),
    "bands_stride": depthwise(1, (111, 90), 5, 3, (2, 2)),
    "asymmetric": depthwise(2, (10, 11), 21, 3, (2, 1), (0, 1, 2, 0)),
    "dilated": depthwise(1, (19, 17), 33, 3, pad=(3, 3, 2, 2), dilation=(3, 2)),
    "dilated_strided": depthwise(2, (17, 18), 19, 3, (2, 3), (2, 1, 3, 0), (3, 2)),
    "stride_over_window": depthwise(2, (13, 11), 18, 2, (3, 4), (0, 0, 0, 0)),
    "cropped": depthwise(1, (9, 9), 16, 1, pad=(0, 0, 0, 0), stride=(2, 2)),
    "padding_beyond_window": depthwise(1, (3, 4), 18, 2, pad=(4, 3, 3, 5)),
    "no_images": depthwise(0, (5, 5), 19, 3),
    "multiplier": problem(2, (8, 9), 11, 33, (3, 3), (2, 2), SAME, groups=11),
    "groups_of_2": grouped(2, (9, 10), 70, 2),
    "groups_of_4": grouped(2, (9, 17), 36, 4),
    "groups_of_8": grouped(1, (8, 15), 40, 8, stride=(2, 2)),
    "groups_of_4_strided": grouped(2, (11, 9), 44, 4, stride=(2, 2)),
    "groups_of_8_bands": grouped(1, (70, 62), 16, 8),  # rows in a ring
    "groups_of_4_dilated": grouped(1, (12, 13), 20, 4, pad=(2, 2, 1, 3), dilation=(2, 2)),
    "groups_of_3": grouped(2, (7, 8), 21, 3),
    "groups_of_3_to_5": problem(2, (7, 8), 12, 20, (3, 2), (1, 2), (1, 0, 1, 1), groups=4),
    "groups_of_8_to_1": problem(1, (6, 6), 32, 4, (3, 3), pad=SAME, groups=4),
}


def algorithms_of(p, direction, dtype=np.float32):
    """Those for few channels per group."""
    names = cpu.conv2d_algorithms(p, direction, np.dtype(dtype))
    found = [name for name in names if name not in ("implicit", "im2col")]
    assert ("staged_depthwise" if p.groups == p.c else "staged_grouped") in found
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_integers_are_exact_and_threads_do_not_matter(name, direction, dtype, threads):
    p = PROBLEMS[name]
    exact = operands(p, direction, dtype, integers=True)
    expected = truth(p, direction, *exact)
    assert np.abs(expected).max(initial=0) < 2**24
    real = operands(p, direction, dtype, integers=False)
    for algorithm in algorithms_of(p, direction, dtype):
        bits = set()
        for n in (1, 2, 3, 7):
            threads(n)
            came = run(cpu, p, direction, algorithm, *exact)
            np.testing.assert_array_equal(came, expected, err_msg=f"{algorithm}, {n} threads")
            bits.add(run(cpu, p, direction, algorithm, *real).tobytes())
        assert len(bits) == 1, algorithm


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_random_inputs_stay_within_the_error_bound(name, direction, dtype):
    p = PROBLEMS[name]
    a, b = operands(p, direction, dtype, integers=False)
    expected = truth(p, direction, a, b)
    magnitude = truth(p, direction, np.abs(a), np.abs(b))
    # c = 1: stated in lanes_tile.h, lanes_wgrad.cpp, depth_patch.h and depthwise_wgrad.cpp
    bound = np.sqrt(sum_length(p, direction)) * np.finfo(dtype).eps * magnitude
    for algorithm in algorithms_of(p, direction, dtype):
        error = np.abs(run(cpu, p, direction, algorithm, a, b) - expected)
        assert (error <= bound).all(), f"{algorithm}: {np.max(error - bound)} above the bound"


FUSED = (
    "channels_above_a_vector",
    "5x5_stride",
    "bands",
    "multiplier",
    "groups_of_4",
    "7x7_strips",
)


@pytest.mark.parametrize("with_sums", (False, True))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUSED)
def test_epilogue(name, dtype, with_sums, threads):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", dtype, integers=True)
    rng = np.random.default_rng(3)
    scale, shift, residual = (draw(s, dtype, rng, True) for s in ((p.k,), (p.k,), p.y_shape))
    for case in (
        Epilogue(scale, shift, residual, Activation("relu")),
        Epilogue(shift=shift, act=Activation("leaky_relu", 0.25)),
        Epilogue(scale=scale),
        Epilogue(residual=residual),
    ):
        sums = np.full((2, p.k), np.nan) if with_sums else None
        wide = (None if v is None else v.astype(np.float64) for v in case[:3])
        expected = truth(p, "fwd", x, w, epilogue=Epilogue(*wide, case.act, sums))
        for algorithm, n in product(algorithms_of(p, "fwd"), (1, 3)):
            threads(n)
            came_sums = np.full((2, p.k), np.nan) if with_sums else None
            epilogue = case._replace(sums=came_sums)
            came = run(cpu, p, "fwd", algorithm, x, w, epilogue=epilogue)
            np.testing.assert_array_equal(came, expected, err_msg=algorithm)
            if with_sums:
                np.testing.assert_array_equal(came_sums, sums, err_msg=algorithm)


def test_sums_have_the_same_bits_for_any_threads(threads):
    p = PROBLEMS["bands"]
    x, w = operands(p, "fwd", np.float32, integers=False)
    for algorithm in algorithms_of(p, "fwd"):
        bits = set()
        for n in (1, 2, 3, 7):
            threads(n)
            sums = np.full((2, p.k), np.nan)
            run(cpu, p, "fwd", algorithm, x, w, epilogue=Epilogue(sums=sums))
            bits.add(sums.tobytes())
        assert len(bits) == 1, algorithm


@pytest.mark.parametrize("direction", ("fwd", "wgrad"))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", (*FUSED, "groups_of_8", "groups_of_3_to_5"))
def test_prologue(name, dtype, direction):
    """act(x * scale + shift) while x is staged; padding stays 0."""
    p = PROBLEMS[name]
    rng = np.random.default_rng(4)
    scale, shift = (draw((p.c,), dtype, rng, True) for _ in range(2))
    a, b = operands(p, direction, dtype, integers=True)
    wide = Prologue(scale.astype("f8"), shift.astype("f8"), Activation("relu"))
    expected = truth(p, direction, a, b, prologue=wide)
    prologue = Prologue(scale, shift, Activation("relu"))
    for algorithm in algorithms_of(p, direction, dtype):
        came = run(cpu, p, direction, algorithm, a, b, prologue=prologue)
        np.testing.assert_array_equal(came, expected, err_msg=algorithm)


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)
