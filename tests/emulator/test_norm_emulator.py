"""Norms in the emulator: a large mean, tails, views, optional outputs, memory traffic."""

from itertools import product

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.activation import IDENTITY
from fastconv.backend.select import backends
from tests.native.kernel_case import ACTS

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_table
from tests.emulator.traffic import assert_coalesced, unaligned

TABLE = emulator_table()

EPS = np.finfo(np.float32).eps


def draw(*shape, seed=0, mean=0.0):
    return (np.random.default_rng(seed).standard_normal(shape) + mean).astype(np.float32)


def assert_close(y, y64, error):
    """error in units of the largest value's last digit"""
    np.testing.assert_allclose(y, y64, rtol=0, atol=error * EPS * np.max(np.abs(y64), initial=0))


# ---- batch norm


def train(K, x, gy, gamma, beta):
    """Statistics, normalisation and gradients of one training step."""
    c, dtype = x.shape[-1], x.dtype
    sums = np.empty((2, c))
    mean, rstd, ggamma, gbeta = (np.empty(c, dtype) for _ in range(4))
    y, gx = np.empty_like(x), np.empty_like(x)
    K.channel_stats(x, sums)
    K.batch_norm_prepare(sums, x.size // c, mean, rstd, None, None, 0.1, 1e-5)
    K.batch_norm_apply(x, mean, rstd, gamma, beta, None, y, IDENTITY)
    K.batch_norm_bwd(
        gy, x, y, None, gamma, beta, mean, rstd, IDENTITY, True, gx, ggamma, gbeta, None
    )
    return rstd, y, gx, ggamma, gbeta


@pytest.mark.parametrize("shape", [(4, 17, 19, 3), (2, 23, 29, 37), (6, 14, 14, 64)])
def test_batch_norm_of_a_large_mean(shape):
    """mean 1e4, spread 1. The saved mean is float32: x - mean is off by 2^-11 at most, and so are
    y, gamma being 1 to 2, and the share of gx that goes through xhat; the variance is not."""
    c = shape[-1]
    x, gy = draw(*shape, mean=1e4), draw(*shape, seed=1)
    gamma, beta = draw(c, seed=2, mean=4) / 4, draw(c, seed=3)
    came = train(TABLE, x, gy, gamma, beta)
    truth = train(reference, *(a.astype(np.float64) for a in (x, gy, gamma, beta)))
    np.testing.assert_allclose(came[0], truth[0], rtol=4 * EPS)
    shift = 2.0**-11
    np.testing.assert_allclose(came[1], truth[1], rtol=0, atol=2 * shift)
    np.testing.assert_allclose(came[2], truth[2], rtol=0, atol=shift)
    rows = gy.reshape(-1, c).astype(np.float64)
    np.testing.assert_allclose(came[3], truth[3], rtol=0, atol=2 * shift * abs(rows.sum(0)).max())
    assert_close(came[4], truth[4], 10)


ROWS = [(1, 1), (3, 5), (33, 20), (2, 7, 259), (1025, 6), (37, 36, 1)]
OUTPUTS = ("gx", "ggamma", "gbeta", "gresidual")


def backward(K, shape, act, training, wanted, dtype, wrap=np.array, absent=()):
    c = shape[-1]
    x, residual, gy = (draw(*shape, seed=i).astype(dtype) for i in range(3))
    gamma, beta, mean = (draw(c, seed=i).astype(dtype) for i in (3, 4, 5))
    rstd = np.abs(draw(c, seed=6)).astype(dtype) + dtype(0.5)
    x, residual, gy, gamma, beta, mean, rstd = (
        wrap(a) for a in (x, residual, gy, gamma, beta, mean, rstd)
    )
    if "residual" in absent:
        residual = None
    y = wrap(np.empty_like(x))
    K.batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act)
    outputs = [
        None
        if name not in wanted
        else wrap(np.full(shape if name in OUTPUTS[::3] else c, 77, dtype))
        for name in OUTPUTS
    ]
    K.batch_norm_bwd(gy, x, y, residual, gamma, beta, mean, rstd, act, training, *outputs)
    return [y, *(a for a in outputs if a is not None)]


@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("act", ["identity", "relu6", "hardswish", "gelu", "scaled_tanh"])
def test_batch_norm_gradients_of_any_shape(shape, act):
    for training in (False, True):
        truth = backward(reference, shape, ACTS[act], training, OUTPUTS, np.float64)
        came = backward(TABLE, shape, ACTS[act], training, OUTPUTS, np.float32)
        for a, b in zip(came, truth, strict=True):
            assert_close(a, b, 60)
        # the same order of sums
        for a, b in zip(
            backward(TABLE, shape, ACTS[act], training, OUTPUTS, np.float32, unaligned), came,
            strict=True,
        ):  # fmt: skip
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("act", ["identity", "relu", "silu"])
def test_batch_norm_outputs_that_are_not_wanted(act):
    shape = (9, 11, 12)
    for training, *chosen in product((False, True), *[(False, True)] * 4):
        wanted = [name for name, choice in zip(OUTPUTS, chosen, strict=True) if choice]
        absent = ("residual",) if training else ()
        for a, b in zip(
            backward(TABLE, shape, ACTS[act], training, wanted, np.float32, absent=absent),
            backward(reference, shape, ACTS[act], training, wanted, np.float64, absent=absent),
            strict=True,
        ):
            assert_close(a, b, 60)


def test_batch_norm_where_the_activation_stops_infinity():
    """relu's gradient is 0 where it is off, also of an infinite gy."""
    x = np.array([[-1.0, 1.0]] * 3, np.float32)
    gy = np.full_like(x, np.inf)
    one, zero, y, gz = np.ones(2, np.float32), np.zeros(2, np.float32), x.clip(0), np.empty_like(x)
    TABLE.batch_norm_bwd(
        gy, x, y, None, one, zero, zero, one, ACTS["relu"], False, None, None, None, gz
    )
    np.testing.assert_array_equal(gz, [[0, np.inf]] * 3)


def test_batch_norm_in_place():
    x, c = draw(7, 9, 20), draw(20, mean=3)
    y, truth = x.copy(), np.empty_like(x)
    TABLE.batch_norm_apply(x, c, c, c, c, x, truth, ACTS["relu"])
    TABLE.batch_norm_apply(y, c, c, c, c, y, y, ACTS["relu"])
    np.testing.assert_array_equal(y, truth)


def test_batch_norm_of_a_constant_far_from_zero():
    """sums[1]/count - mean^2 rounds below 0: the variance is 0, not NaN."""
    value, count = 1e8 + 0.1, 7
    sums = np.array([[value * count], [value * value * count * (1 - 1e-15)]])
    mean, rstd = np.empty(1, np.float32), np.empty(1, np.float32)
    TABLE.batch_norm_prepare(sums, count, mean, rstd, None, None, 0.1, 1e-5)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(1e-5), rtol=EPS)


def test_batch_norm_needs_x_for_the_statistics():
    a, c = np.ones((3, 5), np.float32), np.ones(5, np.float32)
    for training, ggamma, gx in ((True, None, a.copy()), (False, c.copy(), None)):
        with pytest.raises(ValueError, match="batch_norm_bwd: x"):
            TABLE.batch_norm_bwd(
                *(a, None, a, None, c, c, c, c, IDENTITY, training),
                *(gx, ggamma, None, None),
            )


@pytest.mark.parametrize("shape", [(784, 64), (391, 37), (40, 1024)])
def test_batch_norm_moves_whole_sectors(shape):
    x, c, gy = draw(*shape), draw(shape[-1], mean=4), draw(*shape, seed=1)
    y, gx, gz, one, two = (np.empty_like(a) for a in (x, x, x, c, c))
    relu = ACTS["relu"]
    assert_coalesced(
        "apply", lambda: TABLE.batch_norm_apply(x, c, c, c, c, gy, y, relu),
        reads=2 * x.size, writes=x.size,
    )  # fmt: skip
    # gy, x, y and gresidual; gresidual, x and gx
    assert_coalesced(
        "bwd",
        lambda: TABLE.batch_norm_bwd(
            gy, x, y, gz, c, c, c, c, relu, True, gx, one, two, np.empty_like(x)
        ),
        reads=5 * x.size,
        writes=2 * x.size,
    )  # fmt: skip


# ---- layer norm


def layer_norm(K, x, gy, gamma, beta, wrap=np.array):
    dtype, (rows, c) = x.dtype, x.shape
    x, gy = wrap(x), wrap(gy)
    y, gx = wrap(np.empty_like(x)), wrap(np.empty_like(x))
    mean, rstd = np.empty(rows, dtype), np.empty(rows, dtype)
    ggamma, gbeta = np.empty(c, dtype), np.empty(c, dtype)
    K.layer_norm_fwd(x, gamma, beta, y, mean, rstd, 1e-5)
    K.layer_norm_bwd(gy, x, gamma, mean, rstd, gx, ggamma, gbeta)
    return y, mean, rstd, gx, ggamma, gbeta


# teams of 8, of a warp and of a block; whole and in part, by vectors and element by element; rows
# that no team holds
CHANNELS = [1, 3, 7, 8, 33, 96, 129, 260, 256, 1000, 1031, 1028, 2051, 9000]


@pytest.mark.parametrize("c", CHANNELS)
def test_layer_norm_of_any_width(c):
    rows = 67 if c < 300 else 5
    x, gy = draw(rows, c), draw(rows, c, seed=1)
    gamma, beta = draw(c, seed=2, mean=2), draw(c, seed=3)
    for affine in (True, False):
        parameters = (gamma, beta) if affine else (None, None)
        truth = layer_norm(
            reference,
            *(a if a is None else a.astype(np.float64) for a in (x, gy, *parameters)),
        )
        for wrap in (np.array, unaligned):
            for i, (a, b) in enumerate(
                zip(layer_norm(TABLE, x, gy, *parameters, wrap), truth, strict=True)
            ):
                # of one channel nothing is left but what rounding left
                if c > 1 or i in (0, 1, 5):
                    assert_close(a, b, 20 if c > 3 else 400)


def test_layer_norm_of_no_channels():
    """The mean of nothing is 0, as in the reference."""
    x = np.empty((300, 0), np.float32)
    nothing = np.empty(0, np.float32)
    came, truth = (layer_norm(K, x, x, nothing, nothing) for K in (TABLE, reference))
    for a, b in zip(came, truth, strict=True):
        np.testing.assert_array_equal(a, b)


def test_layer_norm_outputs_that_are_not_wanted():
    x, gy, gamma = draw(9, 20), draw(9, 20, seed=1), draw(20, seed=2)
    whole = layer_norm(TABLE, x, gy, gamma, gamma)
    for chosen in product((False, True), repeat=3):
        outputs = [
            np.full_like(a, 77) if c else None for a, c in zip(whole[3:], chosen, strict=True)
        ]
        TABLE.layer_norm_bwd(gy, x, gamma, whole[1], whole[2], *outputs)
        for a, b in zip(outputs, whole[3:], strict=True):
            if a is not None:
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("c", [64, 768, 2051])
@pytest.mark.parametrize("large", [1e4, 1e6])
def test_layer_norm_of_a_large_mean(c, large):
    """y loses nothing to the mean's last digit."""
    x = draw(11, c, mean=large)
    y, mean, rstd = np.empty_like(x), np.empty(11, np.float32), np.empty(11, np.float32)
    TABLE.layer_norm_fwd(x, None, None, y, mean, rstd, 1e-5)
    x64 = x.astype(np.float64)
    scale = 1 / np.sqrt(x64.var(1) + 1e-5)
    assert_close(y, (x64 - x64.mean(1)[:, None]) * scale[:, None], 4)
    np.testing.assert_allclose(rstd, scale, rtol=4 * EPS)
    np.testing.assert_allclose(mean, x64.mean(1), rtol=EPS)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_layer_norm_of_what_is_not_finite(value):
    x = draw(3, 40)
    x[1, 7] = value
    came, truth = ([np.empty_like(x), *np.empty((2, 3), np.float32)] for _ in range(2))
    TABLE.layer_norm_fwd(x, None, None, *came, 1e-5)
    with np.errstate(invalid="ignore"):
        reference.layer_norm_fwd(x, None, None, *truth, 1e-5)
    for a, b in zip(came, truth, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=8 * EPS)


@pytest.mark.parametrize("c", [128, 768, 2048])
def test_layer_norm_moves_whole_sectors(c):
    x, gy, gamma = draw(32, c), draw(32, c, seed=1), draw(c, seed=2)
    y, mean, rstd = np.empty_like(x), np.empty(32, np.float32), np.empty(32, np.float32)
    assert_coalesced(
        "fwd", lambda: TABLE.layer_norm_fwd(x, gamma, gamma, y, mean, rstd, 1e-5),
        reads=x.size, writes=x.size,
    )  # fmt: skip
    # two passes: gx, and the sums over rows
    assert_coalesced(
        "bwd", lambda: layer_norm(TABLE, x, gy, gamma, gamma), reads=5 * x.size, writes=2 * x.size
    )


# ---- local response normalisation


# of more than a block, a window of one channel, wider than the row, and more than shared memory
@pytest.mark.parametrize(
    ("shape", "size"),
    [((50, 61), 5), ((3, 7), 1), ((9, 5), 40), ((1, 1), 3), ((2, 2500), 6), ((2, 8000), 15_001)],
)
@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_lrn_of_any_shape(shape, size, beta):
    x, gy = draw(*shape), draw(*shape, seed=1)
    if size > 10_000:  # each window anew: a few rows' worth is enough
        x, gy = x[:1, :5800].copy(), gy[:1, :5800].copy()
        size = 11_599
    came, truth = [], []
    for K, dtype, out in ((TABLE, np.float32, came), (reference, np.float64, truth)):
        a, g = x.astype(dtype), gy.astype(dtype)
        y, scale, gx = (np.empty_like(a) for _ in range(3))
        K.lrn_fwd(a, y, scale, size, 1e-2, beta, 2.0)
        K.lrn_bwd(g, a, scale, gx, size, 1e-2, beta)
        out += [y, scale, gx]
    for a, b in zip(came, truth, strict=True):
        assert_close(a, b, 8 if size < 1000 else 60)


def test_lrn_moves_whole_sectors():
    x, gy = draw(200, 96), draw(200, 96, seed=1)
    y, scale, gx = (np.empty_like(x) for _ in range(3))
    for name, call, reads, writes in (
        ("fwd", lambda: TABLE.lrn_fwd(x, y, scale, 5, 1e-4, 0.75, 2.0), 1, 2),
        ("bwd", lambda: TABLE.lrn_bwd(gy, x, scale, gx, 5, 1e-4, 0.75), 3, 1),
    ):
        assert_coalesced(name, call, reads * x.size, writes * x.size, width=4)


def test_lrn_is_not_in_place():
    x = draw(3, 4)
    with pytest.raises(ValueError, match="lrn_fwd: y: expected another array than x"):
        TABLE.lrn_fwd(x, x, None, 5, 1e-4, 0.75, 2.0)
