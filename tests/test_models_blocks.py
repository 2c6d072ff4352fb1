"""What networks of several families are made of: fastconv/models/blocks.py."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models.blocks import FusedSequential, divisible
from tests.small_networks import images


def layers():
    return (
        nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(),
        nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.Hardswish(),
        nn.Conv2d(6, 4, 1, bias=False), nn.BatchNorm2d(4),
    )  # fmt: skip


def close(a, b):
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("nested", [False, True])
def test_fused_layers_give_what_the_layers_give_one_by_one(training, nested):
    fused = FusedSequential(*layers())
    plain = nn.Sequential(*fused)
    if nested:
        *first, conv, bn = fused
        fused = FusedSequential(*first, FusedSequential(conv, bn))
    x, residual = images((2, 6, 8, 4)), images((2, 3, 4, 4), seed=1)
    plain.train(training), fused.train(training)
    close(fused(x), plain(x))
    close(fused(x, residual), plain(x) + residual)


def test_a_residual_comes_before_the_activation_behind_it():
    fused = FusedSequential(*layers()[:3]).eval()
    conv, bn, relu6 = fused
    x, residual = images((1, 3, 3, 4)), images((1, 3, 3, 6), seed=1)
    close(fused(x, residual), relu6(bn(conv(x)) + residual))


def test_convolution_batch_norm_and_activation_are_one_op():
    with fc.Trace() as trace:
        FusedSequential(*layers())(images((1, 4, 4, 4)))
    names = [r.name for r in trace.records]
    assert names == ["ConvBnAct", "MaxPool2d", "Activate", "ConvBnAct", "ConvBnAct"]


def test_channels_are_rounded_as_in_tensorflow():
    """To the nearest multiple of 8, up where that would lose more than 10 %."""
    assert [divisible(c) for c in (1, 8, 11, 12, 24 * 0.75, 24 * 0.35, 32 * 1.4, 83, 84)] == [
        8, 8, 16, 16, 24, 8, 48, 80, 88,
    ]  # fmt: skip
    assert all(divisible(c) >= 0.9 * c and divisible(c) % 8 == 0 for c in range(1, 2000))
