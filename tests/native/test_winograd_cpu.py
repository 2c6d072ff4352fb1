"""Winograd's F(4x4, 3x3) on the CPU: error bound, epilogue, prologue, threads, packed weights, and
when it is chosen.

Results are rounded: no test here compares bits with the reference.
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend.activation import ACTIVATIONS, Activation
from fastconv.backend.problem import Epilogue, Prologue
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu
from tests.native.conv2d_case import DTYPES, SAME, draw, operands, problem, run, shapes, truth
from tests.native.conv_rules import TILES, C, error_bound
from tests.native.other_isas import run_again

NAME = "winograd"
DIRECTIONS = ("fwd", "dgrad", "wgrad")
TOLERANCE = 2e-5  # of a largest element: what rounding leaves of results of these sizes
PROBLEMS = {
    "one_tile": problem(1, (4, 4), 8, 32, (3, 3), pad=SAME),
    "one_pixel": problem(1, (1, 1), 8, 4, (3, 3), pad=SAME),
    "tails_of_rows_and_columns": problem(3, (7, 9), 8, 12, (3, 3), pad=SAME),
    "several_panels": problem(2, (17, 22), 8, 72, (3, 3), pad=SAME),
    "one_vector_left": problem(1, (6, 5), 20, 36, (3, 3), pad=SAME),
    "odd_channels": problem(2, (6, 5), 3, 35, (3, 3), pad=SAME),
    "one_channel": problem(2, (5, 6), 1, 1, (3, 3)),
    "many_channels": problem(1, (4, 8), 601, 5, (3, 3), pad=SAME),
    "no_padding": problem(1, (9, 10), 8, 8, (3, 3)),
    "asymmetric": problem(1, (5, 6), 4, 8, (3, 3), pad=(0, 2, 3, 1)),
    "padding_beyond_the_window": problem(1, (3, 4), 4, 4, (3, 3), pad=(4, 3, 5, 4)),
    "blocks_of_one_thread": problem(5, (53, 55), 6, 9, (3, 3), pad=SAME),
    "blocks_of_a_round": problem(2, (37, 43), 130, 17, (3, 3), pad=SAME),
    "several_rounds": problem(3, (30, 29), 1000, 3, (3, 3), pad=SAME),
    "rounds_of_gradients": problem(2, (61, 64), 150, 33, (3, 3), pad=SAME),
    "empty_batch": problem(0, (5, 5), 3, 4, (3, 3)),
}


def winograd(p, direction, a, b, **options):
    return run(cpu, p, direction, NAME, a, b, **options)


def close(came, expected, tolerance=TOLERANCE):
    atol = tolerance * np.abs(expected).max(initial=1)
    np.testing.assert_allclose(came, expected, rtol=0, atol=atol)


def wide(parts):
    floats = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in parts]
    return type(parts)(*floats)


def vectors(dtype, *wanted):
    rng = np.random.default_rng(3)
    return [draw(shape, dtype, rng, integers=False) for shape in wanted]


# ---- values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_values_stay_within_the_bound_for_any_number_of_threads(name, direction, dtype, threads):
    p = PROBLEMS[name]
    a, b = operands(p, direction, dtype, integers=False)
    magnitude = truth(p, direction, np.abs(a), np.abs(b))
    bound = error_bound(p, direction, magnitude, C[NAME], TILES[NAME], dtype)
    expected, bits = truth(p, direction, a, b), set()
    for n in (1, 2, 3, 7):
        threads(n)
        came = winograd(p, direction, a, b)
        assert (np.abs(came - expected) <= bound).all()
        bits.add(came.tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("mean", [0, 10])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("channels", [64, 256, 512])
def test_layers_keep_what_the_precision_promises(channels, direction, mean):
    p = problem(1, (14, 14), channels, channels, (3, 3), pad=SAME)
    a, b = operands(p, direction, np.float32, integers=False)
    a = a + np.float32(mean)
    y64 = truth(p, direction, a, b)
    error = np.abs(winograd(p, direction, a, b) - y64)
    # "default" promises 1e-4
    assert error.max() <= 3e-5 * np.sqrt(np.mean(y64**2))


@pytest.mark.parametrize("name", ["tails_of_rows_and_columns", "several_panels", "asymmetric"])
def test_the_directions_are_adjoint(name):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float64, integers=False)
    gy = operands(p, "dgrad", np.float64, integers=False)[0]
    y, gx, gw = winograd(p, "fwd", x, w), winograd(p, "dgrad", gy, w), winograd(p, "wgrad", x, gy)
    rounding = 1e-12 * np.linalg.norm(y) * np.linalg.norm(gy)
    assert abs(np.vdot(y, gy) - np.vdot(gx, x)) <= rounding
    assert abs(np.vdot(y, gy) - np.vdot(gw, w)) <= rounding


# ---- epilogue and prologue


@pytest.mark.parametrize("act", ["identity", "relu", "silu"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", ["several_panels", "odd_channels", "blocks_of_one_thread"])
def test_epilogue(name, residual, act, threads):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=False)
    scale, shift, rest = vectors(np.float32, (p.k,), (p.k,), p.y_shape)
    rest = rest if residual else None
    theirs = wide(Epilogue(scale, shift, rest, Activation(act), np.full((2, p.k), np.nan)))
    y64 = truth(p, "fwd", x, w, epilogue=theirs)
    plain = winograd(p, "fwd", x, w, epilogue=Epilogue(scale, shift))
    t = plain.astype(np.float64).reshape(-1, p.k)
    results = set()
    for n in (1, 3):
        threads(n)
        ours = Epilogue(scale, shift, rest, Activation(act), np.full((2, p.k), np.nan))
        y = winograd(p, "fwd", x, w, epilogue=ours)
        close(y, y64)
        largest = np.abs(theirs.sums).max()
        np.testing.assert_allclose(ours.sums, theirs.sums, rtol=1e-5, atol=1e-4 * largest)
        # the sums are those of what is stored, before residual and activation
        rounding = 1e-7 * np.abs(t).sum(0).max()
        np.testing.assert_allclose(ours.sums, [t.sum(0), (t * t).sum(0)], rtol=1e-6, atol=rounding)
        results.add(y.tobytes() + ours.sums.tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("part", ["scale", "shift", "residual", "act"])
def test_each_part_of_the_epilogue_alone(part):
    p = PROBLEMS["one_vector_left"]
    x, w = operands(p, "fwd", np.float32, integers=False)
    scale, shift, residual = vectors(np.float32, (p.k,), (p.k,), p.y_shape)
    whole = Epilogue(scale, shift, residual, Activation("relu"))
    one = Epilogue()._replace(**{part: getattr(whole, part)})
    close(winograd(p, "fwd", x, w, epilogue=one), truth(p, "fwd", x, w, epilogue=wide(one)))


def test_sums_of_channels_with_a_large_mean():
    p = PROBLEMS["several_panels"]
    x, w = operands(p, "fwd", np.float32, integers=False)
    shift, sums = np.full((p.k,), 1e4, np.float32), np.full((2, p.k), np.nan)
    y = winograd(p, "fwd", x, w, epilogue=Epilogue(shift=shift, sums=sums))
    t = y.astype(np.float64).reshape(-1, p.k)
    np.testing.assert_allclose(sums[0], t.sum(0), rtol=1e-9)
    variance = sums[1] / len(t) - (sums[0] / len(t)) ** 2
    np.testing.assert_allclose(variance, t.var(0), rtol=1e-4)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("name", ["asymmetric", "one_vector_left", "odd_channels"])
def test_prologue_leaves_the_padding_zero(name, act):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=False)
    scale, shift = vectors(np.float32, (p.c,), (p.c,))
    prologue = Prologue(scale, shift, Activation(act, 0.75, 1.25))
    expected = truth(p, "fwd", x, w, prologue=wide(prologue))
    close(winograd(p, "fwd", x, w, prologue=prologue), expected)


@pytest.mark.parametrize("act", ["identity", "relu", "gelu"])
@pytest.mark.parametrize("name", ["asymmetric", "one_vector_left", "rounds_of_gradients"])
def test_prologue_of_the_gradient_by_w(name, act):
    p = PROBLEMS[name]
    x, gy = operands(p, "wgrad", np.float32, integers=False)
    scale, shift = vectors(np.float32, (p.c,), (p.c,))
    prologue = Prologue(scale, shift, Activation(act))
    expected = truth(p, "wgrad", x, gy, prologue=wide(prologue))
    close(winograd(p, "wgrad", x, gy, prologue=prologue), expected)


# ---- packed weights


@pytest.mark.parametrize("name", ["several_panels", "odd_channels", "many_channels"])
def test_packed_weights_give_the_same_bits(name):
    p, dtype = PROBLEMS[name], np.dtype(np.float32)
    x, w = operands(p, "fwd", dtype, integers=False)
    packed = np.full(cpu.conv2d_packed_elements(p, NAME, dtype), np.nan, dtype)
    cpu.conv2d_pack(w, p, NAME, packed)
    assert not np.isnan(packed).any()
    y = np.full(shapes(p, "fwd")[2], np.nan, dtype)
    workspace = np.full(cpu.conv2d_workspace(p, "fwd", NAME, dtype, True), 255, np.uint8)
    cpu.conv2d_fwd(x, np.full_like(w, np.nan), y, p, NAME, workspace, packed=packed)
    np.testing.assert_array_equal(y, winograd(p, "fwd", x, w))


# ---- the choice


LARGE = problem(8, (56, 56), 64, 64, (3, 3), pad=SAME)


def chosen(p, direction="fwd", dtype=np.float32, precision="default", packed=False):
    return cpu.conv2d_choose(p, direction, np.dtype(dtype), precision, packed)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_is_chosen_where_it_pays_and_never_in_ieee_or_float64(direction):
    assert chosen(LARGE, direction) == NAME
    assert chosen(LARGE, direction, precision="ieee") != NAME
    assert chosen(LARGE, direction, np.float64) != NAME
    deep = problem(8, (56, 56), 4096, 4096, (3, 3), pad=SAME)  # beyond the stated error
    assert chosen(deep, direction) != NAME


@pytest.mark.parametrize(
    "other",
    [
        problem(1, (9, 9), 8, 8, (3, 3), stride=(2, 2)),
        problem(1, (9, 9), 8, 8, (3, 3), dilation=(2, 2)),
        problem(1, (9, 9), 8, 8, (3, 3), groups=2),
        problem(1, (9, 9), 8, 8, (5, 5)),
        problem(1, (9, 9), 8, 8, (1, 3)),
    ],
)
def test_other_windows_are_refused(other):
    x, w = operands(other, "fwd", np.float32, integers=False)
    with pytest.raises(ValueError, match="algorithm"):
        cpu.conv2d_fwd(x, w, np.empty(other.y_shape, np.float32), other, NAME, None)
    assert NAME not in cpu.conv2d_algorithms(other, "fwd", np.dtype(np.float32))


def test_a_layer_uses_it_and_the_trace_says_so():
    layer = fc.nn.Conv2d(64, 64, 3, padding=1, bias=False).eval()
    x = fc.tensor(np.random.default_rng(0).standard_normal((2, 56, 56, 64)).astype("float32"))
    with fc.no_grad(), fc.Trace() as trace:
        y = layer(x).numpy()
    assert [r.kernel for r in trace.records] == [NAME]
    fc.set_float32_precision("ieee")
    try:
        with fc.no_grad(), fc.Trace() as trace:
            exact = layer(x).numpy()
    finally:
        fc.set_float32_precision("default")
    assert [r.kernel for r in trace.records] == ["implicit"]
    assert 0 < np.abs(y - exact).max() <= 1e-4 * np.sqrt(np.mean(exact**2))


@pytest.mark.parametrize("isa", cpu.isas())
def test_other_instruction_sets(isa):
    run_again(__file__, isa)
