"""Initialisers: their variances and bounds, and that a seed repeats them."""

from math import sqrt

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.errors import ArgumentError, ShapeError

SHAPE = (64, 3, 3, 32)
FAN_IN, FAN_OUT = 3 * 3 * 32, 64 * 3 * 3

STD = {
    "he_normal_": sqrt(2 / FAN_IN),
    "he_uniform_": sqrt(2 / FAN_IN),
    "xavier_normal_": sqrt(2 / (FAN_IN + FAN_OUT)),
    "xavier_uniform_": sqrt(2 / (FAN_IN + FAN_OUT)),
    "lecun_normal_": sqrt(1 / FAN_IN),
    "lecun_uniform_": sqrt(1 / FAN_IN),
    "lecun_1998_": 2.4 / FAN_IN / sqrt(3),
    "torch_default_": 1 / sqrt(3 * FAN_IN),
    "normal_": 1.0,
    "uniform_": 1 / sqrt(12),
}
BOUND = {
    "he_uniform_": sqrt(6 / FAN_IN),
    "xavier_uniform_": sqrt(6 / (FAN_IN + FAN_OUT)),
    "lecun_uniform_": sqrt(3 / FAN_IN),
    "lecun_1998_": 2.4 / FAN_IN,
    "torch_default_": 1 / sqrt(FAN_IN),
}


def drawn(name, **kwargs):
    fc.manual_seed(11)
    return getattr(nn.init, name)(nn.Parameter.empty(SHAPE), **kwargs).data.astype("float64")


@pytest.mark.parametrize("name", STD)
def test_standard_deviation(name):
    w = drawn(name)
    # the standard deviation of an estimated one is at most std / sqrt(n) here; five of them
    assert abs(w.std() - STD[name]) < 5 * STD[name] / sqrt(w.size)


@pytest.mark.parametrize("name", BOUND)
def test_uniform_bounds_are_reached_and_kept(name):
    w = drawn(name)
    assert BOUND[name] * 0.999 < abs(w).max() <= BOUND[name] * (1 + 1e-6)
    assert abs(w.mean()) < 5 * STD[name] / sqrt(w.size)


@pytest.mark.parametrize("name", ["he_normal_", "he_uniform_"])
def test_he_options(name):
    expected = sqrt(2 / (1.25 * FAN_OUT))
    std = drawn(name, mode="fan_out", slope=0.5).std()
    assert abs(std - expected) < 5 * expected / sqrt(np.prod(SHAPE))
    with pytest.raises(ArgumentError, match="mode must be 'fan_in' or 'fan_out', got 'fan'"):
        drawn(name, mode="fan")


def test_truncated_normal_stays_inside_and_keeps_its_shape():
    w = drawn("trunc_normal_", mean=0.5, std=1.0, low=-0.5, high=1.5)
    assert w.min() >= -0.5
    assert w.max() <= 1.5
    # of a normal cut at one standard deviation: 1 - 2 * phi(1) / (Phi(1) - Phi(-1))
    assert abs(w.var() - 0.2911) < 0.01
    with pytest.raises(ArgumentError, match="low must be below high"):
        drawn("trunc_normal_", low=1, high=1)


def test_normal_has_the_tails_of_one():
    w = drawn("normal_").ravel()
    # P(|z| > 2) = 0.0455; binomial standard deviation over n draws
    n = w.size
    assert abs((abs(w) > 2).mean() - 0.0455) < 5 * sqrt(0.0455 / n)


def test_constants():
    assert set(drawn("zeros_").ravel()) == {0}
    assert set(drawn("ones_").ravel()) == {1}
    assert set(drawn("constant_", value=0.25).ravel()) == {0.25}


def test_fans():
    assert nn.init.fans(nn.Parameter.empty(SHAPE)) == (FAN_IN, FAN_OUT)
    assert nn.init.fans(nn.Parameter.empty((5, 7))) == (7, 5)
    with pytest.raises(ShapeError, match=r"got shape \(3,\)"):
        nn.init.he_normal_(nn.Parameter.empty((3,)))


def test_the_seed_repeats_a_model_and_another_seed_does_not():
    def weights(seed):
        fc.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8, 4)).state_dict()

    first, again, other = weights(0), weights(0), weights(1)
    for key in first:
        assert np.array_equal(first[key], again[key]), key
        assert not np.array_equal(first[key], other[key]), key


def test_layers_start_with_torch_distribution():
    fc.manual_seed(0)
    for layer, fan_in in [(nn.Conv2d(8, 256, 3), 72), (nn.Linear(64, 2048), 64)]:
        for p in layer.parameters():
            bound = 1 / sqrt(fan_in)
            assert 0.95 * bound < abs(p.data).max() <= bound * (1 + 1e-6)


def test_skipped_draws_nothing_and_takes_no_stream():
    fc.manual_seed(3)
    with nn.init.skipped():
        nn.Conv2d(3, 4, 3)
    first = nn.Conv2d(3, 4, 3).weight.numpy().copy()
    fc.manual_seed(3)
    assert np.array_equal(nn.Conv2d(3, 4, 3).weight.numpy(), first)
