"""Every CPU convolution algorithm, direction and dtype against the reference in float64."""

import numpy as np
import pytest

from fastconv.backend.activation import Activation
from fastconv.backend.problem import NO_EPILOGUE, Epilogue, Prologue
from fastconv.backend.select import NATIVE_BUILT
from fastconv.errors import AlgorithmError, DTypeError

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
from tests.native.conv_rules import TILES
from tests.native.other_isas import run_again

PROBLEMS = {
    "one_of_everything": problem(1, (1, 1), 1, 1, (1, 1)),
    "one_channel": problem(2, (5, 7), 1, 3, (3, 3), pad=SAME),
    "one_filter": problem(2, (6, 5), 7, 1, (2, 3)),
    "empty_batch": problem(0, (5, 5), 3, 4, (3, 3)),
    "pointwise": problem(3, (7, 5), 19, 37, (1, 1)),
    "pointwise_stride": problem(2, (7, 8), 5, 6, (1, 1), stride=(2, 3)),
    "pointwise_padded": problem(1, (4, 4), 3, 5, (1, 1), pad=(1, 0, 2, 1)),
    "window_is_input": problem(2, (5, 6), 4, 9, (5, 6)),
    "three_colours": problem(2, (23, 22), 3, 20, (7, 7), stride=(2, 2), pad=(3, 3, 3, 3)),
    "padding_beyond_input": problem(1, (2, 2), 3, 2, (3, 3), pad=(4, 3, 5, 2)),
    "odd_everything": problem(3, (11, 13), 5, 7, (3, 2), stride=(2, 1), pad=(1, 0, 0, 1)),
    "dilated_strided": problem(2, (15, 14), 4, 6, (3, 3), (3, 2), (2, 1, 0, 2), (2, 3)),
    "dilation_is_stride": problem(1, (13, 13), 3, 4, (3, 3), (2, 2), SAME, (2, 2)),
    "stride_over_window": problem(1, (11, 11), 3, 5, (2, 2), stride=(4, 3)),
    "groups": problem(2, (9, 8), 6, 9, (3, 3), pad=SAME, groups=3),
    "groups_of_one_filter": problem(2, (6, 6), 8, 4, (3, 3), (2, 2), SAME, groups=4),
    "depthwise": problem(2, (9, 10), 67, 67, (3, 3), pad=SAME, groups=67),
    "depthwise_stride": problem(2, (9, 8), 19, 19, (5, 3), (2, 2), (0, 1, 2, 1), groups=19),
    "depthwise_multiplier": problem(2, (7, 7), 21, 63, (3, 3), (2, 1), SAME, (1, 2), groups=21),
    "many_channels": problem(1, (6, 6), 600, 40, (3, 3), pad=SAME),  # several blocks of l
    "long_sum_few_tiles": problem(1, (2, 2), 1400, 5, (2, 2)),  # l in chunks
    "many_pixels": problem(3, (50, 47), 9, 11, (3, 3), pad=SAME),  # wgrad in chunks
}


def exact_algorithms(p, direction, dtype):
    """Those that do not round sums of integers; test_winograd_cpu.py has the other one."""
    return [a for a in cpu.conv2d_algorithms(p, direction, np.dtype(dtype)) if a not in TILES]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_integers_are_exact_and_threads_do_not_matter(name, direction, dtype, threads):
    p = PROBLEMS[name]
    exact = operands(p, direction, dtype, integers=True)
    expected = truth(p, direction, *exact)
    assert np.abs(expected).max(initial=0) < 2**24
    real = operands(p, direction, dtype, integers=False)
    for algorithm in exact_algorithms(p, direction, dtype):
        bits = set()
        for n in (1, 2, 3, 7):
            threads(n)
            came = run(cpu, p, direction, algorithm, *exact)
            np.testing.assert_array_equal(came, expected, err_msg=f"{algorithm}, {n} threads")
            bits.add(run(cpu, p, direction, algorithm, *real).tobytes())
        assert len(bits) == 1, f"{algorithm}: other bits for other numbers of threads"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_random_inputs_stay_within_the_error_bound(name, direction, dtype):
    p = PROBLEMS[name]
    a, b = operands(p, direction, dtype, integers=False)
    expected = truth(p, direction, a, b)
    magnitude = truth(p, direction, np.abs(a), np.abs(b))
    # c = 1: stated in csrc/cpu/kernels/tile.h
    bound = np.sqrt(sum_length(p, direction)) * np.finfo(dtype).eps * magnitude
    for algorithm in exact_algorithms(p, direction, dtype):
        error = np.abs(run(cpu, p, direction, algorithm, a, b) - expected)
        assert (error <= bound).all(), f"{algorithm}: {np.max(error - bound)} above the bound"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_directions_are_adjoint(name, dtype):
    """<conv(x,w), g> = <x, dgrad(g,w)> = <w, wgrad(x,g)> for every pair of algorithms."""
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", dtype, integers=True)
    g = operands(p, "dgrad", dtype, integers=True)[0]
    products = set()
    for direction, a, b, other in (("fwd", x, w, g), ("dgrad", g, w, x), ("wgrad", x, g, w)):
        for algorithm in exact_algorithms(p, direction, dtype):
            products.add(np.vdot(run(cpu, p, direction, algorithm, a, b).astype("f8"), other))
    assert len(products) == 1


FUSED = ("pointwise", "odd_everything", "groups", "depthwise_multiplier", "long_sum_few_tiles")


@pytest.mark.parametrize("with_sums", (False, True))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUSED)
def test_epilogue(name, dtype, with_sums, threads):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", dtype, integers=True)
    rng = np.random.default_rng(3)
    scale, shift, residual = (draw(s, dtype, rng, True) for s in ((p.k,), (p.k,), p.y_shape))
    cases = [Epilogue(scale, shift, residual, Activation("relu"))]
    cases += [Epilogue(shift=shift, act=Activation("leaky_relu", 0.25)), Epilogue(scale=scale)]
    for case in cases:
        sums = np.full((2, p.k), np.nan) if with_sums else None
        wide = (None if v is None else v.astype(np.float64) for v in case[:3])
        expected = truth(p, "fwd", x, w, epilogue=Epilogue(*wide, case.act, sums))
        for algorithm in exact_algorithms(p, "fwd", dtype):
            for n in (1, 2):
                threads(n)
                came_sums = np.full((2, p.k), np.nan) if with_sums else None
                epilogue = case._replace(sums=came_sums)
                came = run(cpu, p, "fwd", algorithm, x, w, epilogue=epilogue)
                np.testing.assert_array_equal(came, expected, err_msg=algorithm)
                if with_sums:
                    np.testing.assert_array_equal(came_sums, sums, err_msg=algorithm)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUSED)
def test_prologue(name, dtype):
    """act(x * scale + shift) while x is loaded; padding stays 0."""
    p = PROBLEMS[name]
    rng = np.random.default_rng(4)
    scale, shift = (draw((p.c,), dtype, rng, True) for _ in range(2))
    for direction in ("fwd", "wgrad"):
        a, b = operands(p, direction, dtype, integers=True)
        wide = Prologue(scale.astype("f8"), shift.astype("f8"), Activation("relu"))
        expected = truth(p, direction, a, b, prologue=wide)
        for algorithm in exact_algorithms(p, direction, dtype):
            prologue = Prologue(scale, shift, Activation("relu"))
            came = run(cpu, p, direction, algorithm, a, b, prologue=prologue)
            np.testing.assert_array_equal(came, expected, err_msg=f"{direction} {algorithm}")


def test_special_algorithms_are_offered_where_they_fit():
    dtype = np.dtype("f4")
    offered = {n: cpu.conv2d_algorithms(p, "fwd", dtype)[0] for n, p in PROBLEMS.items()}
    assert {n for n, a in offered.items() if a == "1x1"} == {"pointwise", "one_of_everything"}
    depthwise = {n for n, a in offered.items() if a.endswith("depthwise")}
    assert depthwise == {n for n in PROBLEMS if n.startswith("depthwise")}
    strided, multiplied = PROBLEMS["depthwise_stride"], PROBLEMS["depthwise_multiplier"]
    for direction in DIRECTIONS:
        assert "direct_depthwise" in cpu.conv2d_algorithms(strided, direction, dtype)
        assert "direct_depthwise" not in cpu.conv2d_algorithms(multiplied, direction, dtype)


def test_misuse_is_refused_by_name():
    p = PROBLEMS["groups"]
    x, w = operands(p, "fwd", np.float32, integers=True)
    with pytest.raises(AlgorithmError, match=r"1x1.*does not fit.*implicit, im2col"):
        cpu.conv2d_workspace(p, "fwd", "1x1", x.dtype)
    with pytest.raises(DTypeError, match=r"float32 and float64.*float16"):
        run(cpu, p, "fwd", "implicit", x.astype("f2"), w.astype("f2"))
    size = cpu.conv2d_workspace(p, "fwd", "implicit", x.dtype)
    workspace, y = np.empty(size, np.uint8), np.empty(p.y_shape, "f4")

    def fwd(x=x, w=w, y=y, algorithm="implicit", workspace=workspace):
        cpu.conv2d_fwd(x, w, y, p, algorithm, workspace, NO_EPILOGUE)

    fwd()
    with pytest.raises(ValueError, match="conv2d_fwd: w: expected float32, came float64"):
        fwd(w=w.astype("f8"))
    with pytest.raises(ValueError, match=r"conv2d_fwd: x: expected shape \(2, 9, 8, 6\)"):
        fwd(x=x[:1].copy())
    with pytest.raises(ValueError, match="conv2d_fwd: x: expected a C-contiguous array"):
        fwd(x=np.asfortranarray(x))
    y.flags.writeable = False
    with pytest.raises(ValueError, match="conv2d_fwd: y: expected a writeable array"):
        fwd()
    with pytest.raises(ValueError, match=f"workspace: expected {size} bytes, came {size - 1}"):
        fwd(y=y.copy(), workspace=workspace[1:])
    with pytest.raises(ValueError, match=r"workspace: expected .* bytes, came None"):
        fwd(y=y.copy(), workspace=None)
    with pytest.raises(ValueError, match="algorithm"):
        fwd(y=y.copy(), algorithm="direct_depthwise")


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(
    ("c", "k", "groups"), [(64, 40, 1), (70, 1, 1), (32, 14, 1), (200, 15, 1), (64, 40, 2)]
)
@pytest.mark.parametrize("size", [(5, 7), (30, 41), (1, 900)])
def test_weight_gradient_of_single_pixels(size, c, k, groups, stride):
    """The first tile packs what the others read; columns that fill no two vectors are packed
    before."""
    p = problem(2, size, c, k, (1, 1), (stride, stride), groups=groups)
    x, gy = operands(p, "wgrad", np.float32, integers=True)
    for algorithm in {"1x1", "implicit"} & set(cpu.conv2d_algorithms(p, "wgrad", np.float32)):
        came = run(cpu, p, "wgrad", algorithm, x, gy)
        np.testing.assert_array_equal(came, truth(p, "wgrad", x, gy))
