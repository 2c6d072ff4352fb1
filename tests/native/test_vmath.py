"""The vectorised functions of csrc/cpu/kernels/vmath.h, seen through the kernels that use them,
against float64; and large outputs, which are written past the caches."""

import math

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.activation import Activation
from fastconv.backend.select import NATIVE_BUILT
from tests.native.kernel_case import ACTS

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu

EPS, TINY = 2.0**-23, 2.0**-149
INF, NAN = np.inf, np.nan


def f32(values):
    return np.asarray(values, np.float32)


def activate(x, act):
    y = np.empty_like(x)
    cpu.activation_fwd(x, y, act)
    return y


def slope(x, act):
    gx = np.empty_like(x)
    cpu.activation_bwd(np.ones_like(x), x, gx, act)
    return gx


def assert_within(y, exact, eps, tiny=1.0):
    """|y - exact| <= eps * EPS * |exact|, and `tiny` smallest numbers where that is less."""
    error = np.abs(y.astype(np.float64) - exact)
    bound = eps * EPS * np.abs(exact) + tiny * TINY
    worst = np.argmax(error / bound)
    assert np.all(error <= bound), f"{error[worst] / EPS / abs(exact[worst])} eps at {worst}"


def normal_cdf(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.astype(np.float64)])


# ---- the normal distribution: gelu


def test_normal_distribution_far_out_too():
    """Phi(x) to 6 eps, and the product with x."""
    x = f32(np.concatenate([np.linspace(-13.5, 8, 40_001), np.linspace(-1e-3, 1e-3, 2_001)]))
    assert_within(activate(x, ACTS["gelu"]), x.astype(np.float64) * normal_cdf(x), 6.5, tiny=14)


def test_gelu_gradient():
    """6 eps of each of two terms, which cancel near -0.75."""
    x = f32(np.linspace(-13, 13, 40_001))
    z = x.astype(np.float64)
    cdf, bell = normal_cdf(x), z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    error = np.abs(slope(x, ACTS["gelu"]) - (cdf + bell))
    assert np.all(error <= 7 * EPS * (cdf + np.abs(bell)) + 20 * TINY)


def test_gelu_of_special_values():
    x = f32([NAN, INF, 0.0, -0.0, 1e-40, -1e-40, 1e30, -1e30])
    y = activate(x, ACTS["gelu"])
    np.testing.assert_array_equal(y, f32([NAN, INF, 0, 0, x[4] / 2, x[5] / 2, 1e30, 0]))
    assert np.signbit(y[3])
    assert np.isnan(activate(f32([-INF]), ACTS["gelu"])[0])  # -inf * 0, as the formula says


# ---- e^x - 1: elu


def test_expm1():
    x = f32(np.concatenate([np.linspace(-104, 0, 100_001), -np.logspace(-37, 0, 20_001)]))
    assert_within(activate(x, Activation("elu", 1.0)), np.expm1(x.astype(np.float64)), 1.5)


def test_expm1_of_special_values():
    x = f32([NAN, -INF, -0.0, 0.0, -1e-40, -1e-45, -1e30, -17.5])
    y = activate(x, Activation("elu", 1.0))
    np.testing.assert_array_equal(y, f32([NAN, -1, 0, 0, -1e-40, -1e-45, -1, -1]))


# ---- log(1 + x): the loss of logits below 0 whose target is 0


def bce(x):
    loss = np.empty_like(x)
    cpu.bce_with_logits_fwd(x, np.zeros_like(x), loss, "none")
    return loss


def test_log1p():
    """1.5 eps, and the 0.75 eps of its argument e^x."""
    x = f32(np.linspace(-103, 0, 100_001))
    assert_within(bce(x), np.log1p(np.exp(x.astype(np.float64))), 2.25)


def test_bce_of_special_values():
    """Infinite logits times a target of 0 are NaN, as the formula says."""
    y = bce(f32([NAN, -1e30, 1e30, -0.0, 1e-40, -1e-40]))
    two = np.float32(math.log(2))
    np.testing.assert_array_equal(y, f32([NAN, 0, 1e30, two, two, two]))


# ---- s^-beta: local response normalisation


def scaled(x, k, beta, alpha):
    y, scale = np.empty_like(x), np.empty_like(x)
    cpu.lrn_fwd(x, y, scale, 1, alpha, beta, k)
    return y, scale


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.6, 1.0, 1.7])
def test_inverse_power(beta):
    """s^-beta to 1.5 + beta eps for s from 1e-40 to 1e38, and the product with x."""
    x = f32(np.logspace(-20, 19, 60_000).reshape(-1, 6))
    y, s = scaled(x, 0.0, beta, 1.0)
    power = s.astype(np.float64) ** -beta
    keep = (power < 3e38) & (power > 1e-37)  # s^-beta itself has to be a normal number
    exact = x.astype(np.float64) * power
    assert_within(y[keep], exact[keep], 2 + beta)


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
def test_inverse_power_of_special_values(beta):
    x = np.ones((1, 40), np.float32)
    for s in (0.0, INF, NAN, 1.0, 1e-45):
        with np.errstate(all="ignore"):
            expected = NAN if np.isnan(s) else f32(np.float64(np.float32(s)) ** -beta)
        np.testing.assert_allclose(scaled(x, s, beta, 0.0)[0], np.full_like(x, expected), rtol=5e-7)


# ---- outputs that outgrow the caches


@pytest.mark.parametrize("start", [0, 3])
def test_large_outputs_are_the_same(start):
    """start: where y begins in its buffer, so that it begins inside a cache line too."""
    n = (36 << 20) // 4 + 5
    x = f32(np.random.default_rng(0).integers(-3, 4, n))
    y = np.full(start + n + 9, 77, np.float32)
    cpu.activation_fwd(x, y[start : start + n], ACTS["relu"])
    np.testing.assert_array_equal(y[start : start + n], np.maximum(x, 0))
    assert np.all(y[:start] == 77) and np.all(y[start + n :] == 77)


@pytest.mark.parametrize("c", [64, 37])
def test_large_batch_norm(c):
    rng = np.random.default_rng(0)
    x, gy, residual = (f32(rng.integers(-3, 4, (1, 401, 401, c))) for _ in range(3))
    mean, rstd, gamma, beta = (f32(rng.integers(1, 3, c)) for _ in range(4))
    found = []
    for K in (cpu, reference):
        y, gx, gresidual = (np.empty_like(x) for _ in range(3))
        K.batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, ACTS["relu"])
        K.batch_norm_bwd(
            *(gy, x, y, residual, gamma, beta, mean, rstd, ACTS["relu"], False),
            *(gx, None, None, gresidual),
        )
        found.append((y, gx, gresidual))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
