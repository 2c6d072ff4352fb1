"""What CPU kernels do with NaN, infinities, subnormal results and arguments that do not fit."""

import inspect

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.activation import IDENTITY, Activation
from fastconv.backend.philox import uniform
from fastconv.backend.select import NATIVE_BUILT
from fastconv.errors import ArgumentError, DTypeError
from tests.native.kernel_case import ACTS
from tests.native.kernel_cases_layers import pool_problem

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu, cpu_layers

DTYPES = [np.float32, np.float64]
INF, NAN = np.inf, np.nan


def activate(K, x, act):
    y = np.empty_like(x)
    with np.errstate(all="ignore"):
        K.activation_fwd(x, y, act)
    return y


# ---- the exponential


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponential(dtype):
    """The gradient of elu with alpha 1 is e^x below 0. eps is 1 to 2 units of the last place."""
    low, tiny = (-103, 2.0**-149) if dtype == np.float32 else (-744, 5e-324)
    x = np.concatenate([np.linspace(low, 0, 200_001), np.linspace(-1, 0, 50_001)]).astype(dtype)
    y = np.empty_like(x)
    cpu.activation_bwd(np.ones_like(x), x, y, Activation("elu", 1.0))
    exact = np.exp(x.astype(np.longdouble))
    assert np.all(np.abs(y - exact) <= 0.75 * np.finfo(dtype).eps * exact + 0.75 * tiny)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_down_to_subnormal_results(dtype):
    """e^x to 0.75 eps, a sum and a quotient to half an eps each, and where e^x is subnormal half of
    the smallest number."""
    low, tiny = (-103, 2.0**-149) if dtype == np.float32 else (-744, 5e-324)
    x = np.linspace(low, -low, 200_001).astype(dtype)
    y = activate(cpu, x, ACTS["sigmoid"])
    z = np.exp(-np.abs(x.astype(np.longdouble)))
    exact = np.where(x < 0, z, 1) / (1 + z)
    assert np.all(np.abs(y - exact) <= 1.75 * np.finfo(dtype).eps * exact + 1.5 * tiny)
    assert y[0] > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "act", [a for a in ACTS.values() if a.name != "gelu"], ids=lambda a: a.name
)
def test_activations_of_special_values_are_those_of_the_reference(act, dtype):
    x = np.array([NAN, INF, -INF, 0.0, -0.0, 1e-40, -1e-40, 1e30, -1e30, 6, 3, -3], dtype)
    ours, theirs = activate(cpu, x, act), activate(reference, x, act)
    np.testing.assert_allclose(ours, theirs, rtol=4 * np.finfo(dtype).eps, atol=0)


def test_relu_gradient_selects():
    y = np.array([-1, 0, 1, NAN, 7], np.float32)
    g = np.array([INF, NAN, 5, 6, INF], np.float32)
    for name, expected in (("relu", [0, 0, 5, 6, INF]), ("relu6", [0, 0, 5, 6, 0])):
        gx = np.empty_like(y)
        cpu.activation_bwd(g, y, gx, ACTS[name])
        np.testing.assert_array_equal(gx, expected)


# ---- NaN, infinities


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_wins_in_max_pooling_and_padding_never_does(dtype):
    g = pool_problem(2, "3x3s2")
    rng = np.random.default_rng(0)
    x = rng.integers(-9, -1, (g.n, g.h, g.w, g.c)).astype(dtype)
    x[rng.random(x.shape) < 0.02] = NAN
    x[rng.random(x.shape) < 0.05] = -INF
    x[1, :4, :4] = -INF
    came, expected = [], []
    for K, found in ((cpu, came), (reference, expected)):
        y = np.empty((g.n, g.p, g.q, g.c), dtype)
        argmax, small = np.empty(y.shape, np.uint8), np.empty((g.n, 3, 4, g.c), dtype)
        K.max_pool2d_fwd(x, y, argmax, g)
        index = np.empty(small.shape, np.int32)
        K.adaptive_max_pool2d_fwd(x, small, index)
        found += [y, argmax, small, index]
    for a, b in zip(came, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isnan(came[0]).any() and not (came[0] == 0).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("log", [False, True])
def test_softmax_of_special_rows(dtype, log):
    x = np.zeros((5, 21), dtype)
    x[0, :] = 1e4  # overflows without the shift
    x[1, 3:] = -INF  # masked classes
    x[2, 17] = NAN
    x[3, 20] = INF
    x[4, :] = -INF
    came, expected = np.empty_like(x), np.empty_like(x)
    cpu.softmax_fwd(x, came, log)
    reference.softmax_fwd(x, expected, log)
    np.testing.assert_allclose(came, expected, rtol=8 * np.finfo(dtype).eps)
    assert np.isnan(came[2:]).all() and np.isfinite(came[0]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_with_masked_classes_and_large_logits(dtype):
    logits = np.array([[0, -INF, 0], [1e4, 0, 1e4]], dtype)
    labels = np.array([0, 2])
    loss, lse, glogits = np.empty(2, dtype), np.empty(2, dtype), np.empty_like(logits)
    cpu.cross_entropy_fwd(logits, labels, loss, lse, 0.0, "none")
    cpu.cross_entropy_bwd(np.ones(2, dtype), logits, labels, lse, glogits, 0.0, "none")
    np.testing.assert_allclose(loss, np.log(2), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(glogits[0], [-0.5, 0, 0.5], rtol=1e-6)


def test_means_of_nothing_are_nan():
    loss = np.empty((), np.float32)
    empty = np.empty((0, 3), np.float32)
    cpu.mse_fwd(empty, empty, loss, "mean")
    assert np.isnan(loss)
    cpu.cross_entropy_fwd(empty, np.empty(0, np.int64), loss, empty[:, 0].copy(), 0.0, "mean")
    assert np.isnan(loss)


def test_batch_norm_of_a_constant_far_from_zero():
    """sums[1]/count - mean^2 rounds below 0: the variance is 0, not NaN."""
    value, count = 1e8 + 0.1, 7
    sums = np.array([[value * count], [value * value * count * (1 - 1e-15)]])
    mean, rstd = np.empty(1), np.empty(1)
    cpu.batch_norm_prepare(sums, count, mean, rstd, None, None, 0.1, 1e-5)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(1e-5))


def test_dropout_compares_with_p_exactly():
    """p just above an element's uniform number, by less than float32 tells apart, drops it."""
    seed, offset = 77, 5
    u = float(uniform(seed, offset, 1)[0])
    for p, kept in ((u, True), (np.nextafter(u, 1), False), (np.nextafter(u, 0), True)):
        for group in (1, 9):
            x, y = np.ones(group), np.empty(group)
            cpu.dropout(x, y, p, seed, offset, group)
            np.testing.assert_array_equal(y, 1 / (1 - p) if kept else 0)


# ---- arguments


@pytest.mark.parametrize("bad", [-1, 10, 2**40])
def test_labels_out_of_range(bad):
    logits, loss, lse = np.zeros((3, 10)), np.full((), 5.0), np.zeros(3)
    labels = np.array([0, bad, 1])
    with pytest.raises(ArgumentError, match=rf"labels\[1\] is {bad}, .*\(3, 10\).* 0 to 9"):
        cpu.cross_entropy_fwd(logits, labels, loss, lse, 0.0, "mean")
    assert loss == 5
    glogits = np.zeros_like(logits)
    with pytest.raises(ArgumentError, match=rf"labels\[1\] is {bad}"):
        cpu.cross_entropy_bwd(loss, logits, labels, lse, glogits, 0.0, "mean")


@pytest.mark.parametrize("labels", [np.int32, np.uint8, np.int16])
def test_labels_of_any_integer_type(labels):
    logits, loss, lse = np.eye(4), np.zeros(4), np.zeros(4)
    cpu.cross_entropy_fwd(logits, np.arange(4, dtype=labels), loss, lse, 0.0, "none")
    np.testing.assert_allclose(loss, np.log(np.e + 3) - 1)


@pytest.mark.parametrize("name", cpu_layers.__all__)
def test_half_precision_is_refused_by_name(name):
    function = getattr(cpu, name)
    half = np.ones((1, 1), np.float16)
    with pytest.raises(DTypeError, match=f"{name}: .* came float16"):
        function(*[half] * len(inspect.signature(function).parameters))


def test_arrays_that_do_not_fit_are_named():
    x = np.zeros((4, 6), np.float32)
    y = np.empty_like(x)
    frozen = y.copy()
    frozen.flags.writeable = False
    for args, match in (
        ((x, y.astype(np.float64), IDENTITY), "y: expected float32, came float64"),
        ((x, y[:, :5].copy(), IDENTITY), r"y: expected shape \(4, 6\), came \(4, 5\)"),
        ((x[:, ::2], y[:, ::2], IDENTITY), "x: expected a C-contiguous array"),
        ((x, frozen, IDENTITY), "y: expected a writeable array"),
    ):
        with pytest.raises(ValueError, match=match):
            cpu.activation_fwd(*args)


def test_batch_norm_needs_x_for_the_statistics():
    a, c = np.ones((3, 5)), np.ones(5)
    for training, ggamma, gx in ((True, None, a.copy()), (False, c.copy(), None)):
        with pytest.raises(ValueError, match="batch_norm: x"):
            cpu.batch_norm_bwd(
                *(a, None, a, None, c, c, c, c, IDENTITY, training),
                *(gx, ggamma, None, None),
            )


def test_batch_norm_fold_names_what_does_not_fit():
    c, wrong = np.ones(5), np.ones(4)
    for args, match in (
        ((c, wrong, None, None, None, 1e-5, c.copy(), None), r"var: expected shape \(5,\)"),
        ((c, c, None, None, wrong, 1e-5, c.copy(), None), r"b: expected shape \(5,\)"),
        ((c, c, None, None, None, 1e-5, c.copy(), wrong), r"shift: expected shape \(5,\)"),
        ((c.astype("f4"), c, None, None, None, 1e-5, c.copy(), None), "mean: expected float64"),
    ):
        with pytest.raises(ValueError, match=f"batch_norm: {match}"):
            cpu.batch_norm_fold(*args)


def test_optimizer_lists_of_different_lengths():
    p = [np.zeros(3), np.zeros(4)]
    with pytest.raises(ValueError, match="2 arrays in each list, came 1"):
        cpu.sgd_step(p, p[:1], None, 0.1, 0, 0, 0, False, True)
    with pytest.raises(ValueError, match=r"grads: expected shape \(4,\), came \(3,\)"):
        cpu.sgd_step(p, [p[0], p[0]], None, 0.1, 0, 0, 0, False, True)


def test_one_optimizer_call_takes_both_float_types():
    p = [np.ones(5, np.float32), np.ones(70_001, np.float64)]
    g = [np.full_like(a, 0.5) for a in p]
    cpu.sgd_step(p, g, None, 0.5, 0, 0, 0, False, True)
    for a in p:
        np.testing.assert_array_equal(a, np.full_like(a, 0.75))
