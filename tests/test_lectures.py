"""The checkable facts of the lectures, for the networks that are built so far.

Where a slide errs, the right figure is asserted; the comment says what the slide has.
"""

from math import prod

import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import model_info
from fastconv.models.resnet import BasicBlock, Bottleneck
from tests.model_facts import layers, meta_input, traced


def parameters_of_layers(name):
    """Trainable parameters of each layer that has any, in order."""
    own = (sum(p.size for _, p in m._own(nn.Parameter)) for m in traced(name)[0].modules())
    return [n for n in own if n]


def weights_of_layers(name):
    """The same without biases."""
    return [m.weight.size for m in layers(name, nn.Conv2d | nn.Linear)]


def output_sizes(name, shape):
    """Rows of the output of every op that changes the shape, for an input of that shape."""
    with fc.Trace(meta=True) as trace:
        fc.models.create_model(name).eval()(meta_input(shape))
    return [r.outputs[0][0][1] for r in trace.records]


# ---- LeNet-5


def test_lenet_layers():
    assert parameters_of_layers("lenet5") == [156, 2416, 48120, 10164, 850]
    # lectures 002 and 004 say 2 convolutions and 2 linear layers; there are 3 of these
    assert len(layers("lenet5", nn.Conv2d)) == 2 and len(layers("lenet5", nn.Linear)) == 3
    assert parameters_of_layers("lenet5_1998") == [156, 12, 1516, 32, 48120, 10164]


# ---- AlexNet


def test_alexnet_single_stream_layers():
    # lecture 004's table; 614,656 is the single stream, grouped it is 307,456
    expected = [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]
    assert parameters_of_layers("alexnet_single") == expected
    assert weights_of_layers("alexnet_single")[0] == 34_848
    assert len(layers("alexnet_single", nn.Conv2d)) == 5
    assert len(layers("alexnet_single", nn.Linear)) == 3


def test_alexnet_grouped_weights():
    conv1, conv2, conv3, conv4, conv5 = weights_of_layers("alexnet_2012")[:5]
    # lecture 000 writes 5*5*48*256 = 614,400; that product is 307,200
    assert (conv1, conv2, conv3, conv4, conv5) == (34_848, 307_200, 884_736, 663_552, 442_368)


def test_alexnet_as_the_keras_listing_of_lecture_004():
    assert [m.groups for m in layers("alexnet_bn", nn.Conv2d)] == [1] * 5
    trained = {path: p.size for path, p in traced("alexnet_bn")[0].named_parameters()}
    by_layer = {}
    for path, size in trained.items():
        layer = path.rpartition(".")[0]
        by_layer[layer] = by_layer.get(layer, 0) + size
    # Keras counts the running statistics among a batch norm's parameters: 384 and 1,024
    for layer, running in (("bn1", 2 * 96), ("bn2", 2 * 256)):
        by_layer[layer] += running
    order = ("conv1", "bn1", "conv2", "bn2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    assert [by_layer[layer] for layer in order] == [
        34944, 384, 614656, 1024, 885120, 1327488, 884992, 37752832, 16781312, 409700,
    ]  # fmt: skip
    assert sum(by_layer.values()) == 58_692_452
    _, trace, _ = traced("alexnet_bn")
    # batch norm stands after the pooling, response norm (the paper) before it
    kinds = [type(r.module).__name__ for r in trace.records]
    assert kinds.index("BatchNorm2d") == kinds.index("MaxPool2d") + 1
    kinds = [type(r.module).__name__ for r in traced("alexnet_2012")[1].records]
    assert kinds.index("MaxPool2d") == kinds.index("LocalResponseNorm") + 1


def test_alexnet_as_lecture_003_writes_it():
    conv4 = layers("alexnet_003", nn.Conv2d)[3]
    # the slide says that blocks 3 and 4 have 256 input channels; block 4 has 384
    assert conv4.in_channels == 384
    linear = [(m.in_features, m.out_features) for m in layers("alexnet_003", nn.Linear)]
    assert linear == [(9216, 4096), (4096, 1000)]
    single, written = (model_info(n).params for n in ("alexnet_single", "alexnet_003"))
    assert single - written == 4096 * 4096 + 4096


# ---- VGG


def test_vgg16_weights():
    assert weights_of_layers("vgg16") == [
        1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824, 1_179_648, 2_359_296,
        2_359_296, 2_359_296, 2_359_296, 2_359_296, 102_760_448, 16_777_216, 4_096_000,
    ]  # fmt: skip
    assert sum(weights_of_layers("vgg16")) == 138_344_128
    assert round(102_760_448 / 138_344_128, 3) == 0.743
    # lecture 004 says 13 convolutions and 2 linear layers
    assert len(layers("vgg16", nn.Conv2d)) == 13 and len(layers("vgg16", nn.Linear)) == 3


def test_vgg16_activations_of_lecture_002():
    """The slide's rows (input, convolutions, poolings, linear layers) do not add up to its 24 M."""
    rows = [r for r in traced("vgg16")[1].records if r.name in ("Conv2d", "MaxPool2d", "Linear")]
    values = 224 * 224 * 3 + sum(prod(r.outputs[0][0]) for r in rows)
    assert values == 15_237_608


def test_vgg11_for_both_inputs_of_lecture_003():
    sizes = [n for n in output_sizes("vgg11_cifar", (1, 32, 32, 3)) if n < 32]
    assert sizes[:2] == [16, 16] and sizes.count(1) > 0
    large = output_sizes("vgg11", (1, 224, 224, 3))
    assert [n for n in (112, 56, 28, 14, 7) if n in large] == [112, 56, 28, 14, 7]


# ---- ResNet


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("resnet18", 1.8), ("resnet34", 3.6), ("resnet50_v1", 3.8), ("resnet101_v1", 7.5),
        ("resnet152_v1", 11.2),
    ],
)  # fmt: skip
def test_multiply_adds_of_lecture_003(name, billions):
    """The paper's figures (v1) to one decimal, cut off; it rounds the last two up: 7.6, 11.3."""
    assert int(model_info(name).macs / 1e8) / 10 == billions


def test_stride_in_the_3x3_costs_more():
    # so a torchvision ResNet-50 fails a comparison with the slide's 3.8
    for depth in (50, 101, 152):
        v1, v15 = model_info(f"resnet{depth}_v1"), model_info(f"resnet{depth}")
        assert v15.macs - v1.macs == 231_211_008
        assert v15.params == v1.params


def test_resnet_depths_and_form():
    for depth in (18, 34, 50, 101, 152):
        name = f"resnet{depth}"
        blocks = layers(name, BasicBlock | Bottleneck)
        projections = sum(b.downsample is not None for b in blocks)
        assert len(layers(name, nn.Conv2d)) - projections + 1 == depth
        assert len(layers(name, nn.Linear)) == 1 and not layers(name, nn.Dropout)
        assert len(layers(name, nn.BatchNorm2d)) == len(layers(name, nn.Conv2d))
