"""Facts of the lectures about single layers: sizes, receptive fields, weights, operations.

Where a slide errs, the right figure is asserted; the comment says what the slide has.
"""

from math import ceil, floor

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv import nn
from tests.lecture_facts import CS231N, MELBOURNE, SHARIF, WANG, fact
from tests.model_facts import layers, meta_input, traced

SIZES = [(n, k, s) for n in (5, 6, 13, 28, 32, 55, 227) for k in (1, 2, 3, 5) for s in (1, 2, 3, 4)]


def out_size(layer, size):
    with fc.Trace(meta=True):
        _, h, w, _ = layer(meta_input((1, size, size, 1))).shape
    assert h == w
    return h


def conv_macs(size, *channels_and_windows):
    """Multiplications of convolutions that keep the size, one behind the other:
    conv_macs(32, 200, (5, 32)) is one of 32 windows of 5x5 over 200 channels."""
    c, *rest = channels_and_windows
    with fc.Trace(meta=True) as trace:
        x = meta_input((1, size, size, c))
        for k, filters in rest:
            x = nn.Conv2d(x.shape[-1], filters, k, padding=k // 2, bias=False)(x)
    return sum(r.macs for r in trace.records)


def receptive_field(*layers):
    """Side of the square of pixels that one output pixel depends on, from the gradient."""
    x = fc.tensor(np.ones((1, 64, 64, 1), "float32"), requires_grad=True)
    # Winograd's rounding errors reach the whole tile
    with fc.use_algorithm("implicit"):
        y = nn.Sequential(*layers)(x)
        middle = y.shape[1] // 2
        y[0, middle, middle, 0].sum().backward()
    rows = np.flatnonzero(x.grad.numpy()[0].any((1, 2)))
    assert np.all(np.diff(rows) == 1)
    return len(rows)


def ones(k, stride=1):
    layer = nn.Conv2d(1, 1, k, stride, bias=False)
    nn.init.ones_(layer.weight)
    return layer


# ---- sizes


@fact("no padding: out =", MELBOURNE)
def test_output_without_padding():
    for n, k, s in SIZES:
        size = out_size(nn.Conv2d(1, 1, k, s), n)
        assert size == ceil((n - k + 1) / s) == floor((n - k) / s) + 1


@fact("'same' padding: out =", MELBOURNE)
def test_output_with_same_padding():
    for n, k, s in SIZES:
        assert out_size(nn.Conv2d(1, 1, k, s, padding="same"), n) == ceil(n / s)


@fact("(W - F + 2P)/S + 1", SHARIF, CS231N)
def test_output_size_formula():
    for w, f, s, p in ((*sizes, p) for sizes in SIZES for p in range(sizes[1] // 2 + 1)):
        exact = (w - f + 2 * p) / s + 1
        assert out_size(nn.Conv2d(1, 1, f, s, p), w) == floor(exact)
        assert out_size(nn.MaxPool2d(f, s, p), w) == floor(exact)
        if (ceil(exact) - 1) * s < w + p:  # Caffe and PyTorch: no window begins in the padding
            assert out_size(nn.MaxPool2d(f, s, p, ceil_mode=True), w) == ceil(exact)


# ---- receptive fields, weights


@fact("one more KxK convolution adds", MELBOURNE)
@pytest.mark.parametrize("k", [2, 3, 5])
def test_one_more_convolution_widens_the_receptive_field(k):
    assert receptive_field(ones(3), ones(k)) == 3 + (k - 1)
    # the slide's rule holds at stride 1; the earlier strides multiply it
    assert receptive_field(ones(3, 2), ones(k)) == 3 + (k - 1) * 2
    assert receptive_field(ones(3, 2), ones(3, 2), ones(k)) == 7 + (k - 1) * 4


@fact("two 3x3 -> receptive field", MELBOURNE, SHARIF, CS231N)
def test_stacked_3x3():
    assert receptive_field(ones(3), ones(3)) == receptive_field(ones(5)) == 5
    assert receptive_field(ones(3), ones(3), ones(3)) == receptive_field(ones(7)) == 7


@fact("weights per channel pair", MELBOURNE)
def test_weights_per_channel_pair():
    three, five, seven = (ones(k).weight.size for k in (3, 5, 7))
    assert (five, 2 * three) == (25, 18)
    assert (seven, 3 * three) == (49, 27)


@fact("three 3x3 layers with C channels", SHARIF, CS231N)
@pytest.mark.parametrize("c", [1, 64, 256])
def test_weights_of_stacked_3x3(c):
    with fc.Trace(meta=True):
        three, seven = (nn.Conv2d(c, c, k, bias=False).weight.size for k in (3, 7))
    assert 3 * three == 27 * c**2
    assert seven == 49 * c**2


# ---- pooling, batch norm, the answer


@fact("max pool 2x2/2 of", CS231N)
def test_max_pool_example():
    x = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], "float32")
    y = F.max_pool2d(fc.tensor(x.reshape(1, 4, 4, 1)), 2, 2).numpy()
    assert y.reshape(2, 2).tolist() == [[6, 8], [3, 4]]


@fact("batch norm: batch mean", SHARIF)
def test_batch_norm_formula(rng):
    x = rng.normal(3, 2, (4, 5, 6, 3))
    gamma, beta = rng.normal(size=(2, 3))
    bn = nn.BatchNorm2d(3, momentum=1.0).astype("float64")
    bn.weight.copy_(gamma)
    bn.bias.copy_(beta)
    y = bn(fc.tensor(x)).numpy()
    m = 4 * 5 * 6
    mean = x.sum((0, 1, 2)) / m
    var = ((x - mean) ** 2).sum((0, 1, 2)) / m
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(var + 1e-5) + beta, rtol=1e-10)
    # not on the slide: what is kept for later is the unbiased estimate
    np.testing.assert_allclose(bn.running_var.numpy(), var * m / (m - 1), rtol=1e-6)


@fact("global average pooling h x w x d", MELBOURNE, SHARIF, CS231N)
def test_pooling_has_no_parameters():
    with fc.Trace(meta=True):
        assert nn.AdaptiveAvgPool2d(1)(meta_input((1, 7, 9, 512))).shape == (1, 1, 1, 512)
    pools = (nn.AdaptiveAvgPool2d(1), nn.GlobalAvgPool2d(), nn.MaxPool2d(2), nn.AvgPool2d(2))
    assert not any(list(pool.parameters()) for pool in pools)


@fact("top-5 error = share of images", MELBOURNE, WANG)
def test_top_5_example():
    names = ["husky", "wolf", "dog", "fox", "snow", "fur", "forest"]
    p = np.array([[0.50, 0.20, 0.18, 0.08, 0.01, 0.01, 0.01]], "float32")
    assert p.sum() == pytest.approx(0.99)  # the slide's list is not complete
    _, best = F.topk(fc.tensor(p), 5)
    answers = [names[i] for i in best.numpy()[0]]
    assert answers[0] != "wolf" and "wolf" in answers


# ---- 1x1 convolutions


@fact("32x32x200 -> 32x32x32 by 32 filters", SHARIF)
def test_ops_of_5x5_on_200_channels():
    ops = conv_macs(32, 200, (5, 32))
    assert ops == 163_840_000
    assert ops // 10**6 == 163  # cut off, as the slide does


@fact("with a 1x1 reduction first", SHARIF)
def test_ops_with_a_reduction_to_16_channels():
    assert conv_macs(32, 200, (1, 16), (5, 32)) == 16_384_000


@fact("NiN uses 1x1 convolutions", SHARIF)
def test_nin_has_no_linear_layers():
    assert not layers("nin_cifar10", nn.Linear)
    assert any(m.weight.shape[1:3] == (1, 1) for m in layers("nin_cifar10", nn.Conv2d))
    _, trace, (_, classes) = traced("nin_cifar10")
    # the last map has a channel per class, and is averaged
    last = [r.outputs[0][0] for r in trace.records if "Pool" in r.name][-1]
    assert last == (1, 1, 1, classes)


# ---- depthwise


@fact("one k1 x k2 filter per channel", WANG)
def test_depthwise_and_separable():
    depthwise = nn.DepthwiseConv2d(8, (3, 5), padding=(1, 2), bias=False)
    assert depthwise.weight.size == 8 * 3 * 5
    separable = nn.SeparableConv2d(8, 20, 3, padding=1, bias=False)
    assert sum(p.size for p in separable.parameters()) == 8 * 3 * 3 + 8 * 20
    x = fc.tensor(np.ones((1, 6, 7, 8), "float32"))
    assert depthwise(x).shape == (1, 6, 7, 8)
    assert separable(x).shape == (1, 6, 7, 20)
    # a channel depends on its own channel alone
    before = depthwise(x).numpy()
    changed = x.numpy().copy()
    changed[..., 3] += 1
    differs = (depthwise(fc.tensor(changed)).numpy() != before).any((0, 1, 2))
    assert differs.tolist() == [i == 3 for i in range(8)]
