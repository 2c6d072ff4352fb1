"""Facts of the lectures about LeNet-5, AlexNet and VGG.

Where a slide errs, the right figure is asserted; the comment says what the slide has.
"""

from math import prod

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model, model_info
from fastconv.models.lenet import C3_TABLE
from tests.lecture_facts import COMP5329, CS231N, MELBOURNE, SHARIF, WANG, fact
from tests.model_facts import in_order, layers, maps, meta_input, traced


def parameters_of_layers(name):
    """Trainable parameters of each layer that has any, in order."""
    own = (sum(p.size for _, p in m._own(nn.Parameter)) for m in traced(name)[0].modules())
    return [n for n in own if n]


def weights_of_layers(name):
    """The same without biases."""
    return [m.weight.size for m in layers(name, nn.Conv2d | nn.Linear)]


def kinds(name):
    """Class of the module behind every op, in order."""
    return [type(r.module).__name__ for r in traced(name)[1].records]


def square(*sides_and_channels):
    """(55, 96), (27, 96) as (55, 55, 96), (27, 27, 96)."""
    return [(side, side, c) for side, c in sides_and_channels]


# ---- LeNet-5


@fact("input 32x32x1; C1 6@5x5", MELBOURNE)
def test_lenet_sizes():
    sizes = square((28, 6), (14, 6), (10, 16), (5, 16), (1, 120))
    assert in_order(sizes, maps("lenet5_1998"))
    assert in_order([*sizes, (1, 1, 84)], maps("lenet5_1998"))
    model = traced("lenet5_1998")[0]
    assert (model.c1.kernel_size, model.c1.stride, model.c5.kernel_size) == (5, 1, 5)
    # in today's form C5 is a linear layer over the same 5x5x16
    assert in_order(sizes, maps("lenet5"))


@fact("subsampling output =", MELBOURNE)
def test_lenet_subsampling(rng):
    layer = nn.TrainableSubsampling(6).astype("float64")
    coefficient, bias = rng.normal(size=(2, 6))
    layer.weight.copy_(coefficient)
    layer.bias.copy_(bias)
    x = rng.normal(size=(2, 8, 6, 6))
    sums = x.reshape(2, 4, 2, 3, 2, 6).sum((2, 4))
    np.testing.assert_allclose(layer(fc.tensor(x)).numpy(), sums * coefficient + bias, rtol=1e-12)
    model = traced("lenet5_1998")[0]
    assert [sum(p.size for p in s.parameters()) for s in (model.s2, model.s4)] == [12, 32]


@fact("C3 table (rows S2 maps", MELBOURNE)
def test_lenet_connection_table():
    assert C3_TABLE == (
        (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5), (0, 1, 2, 3),
        (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5), (0, 1, 3, 4),
        (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
    )  # fmt: skip
    crosses = [sum(row in column for column in C3_TABLE) for row in range(6)]
    assert crosses == [10] * 6 and sum(crosses) == 60
    table, complete = traced("lenet5_1998")[0].c3, traced("lenet5")[0].conv2
    assert sum(p.size for p in table.parameters()) == 60 * 25 + 16 == 1516
    assert sum(p.size for p in complete.parameters()) == 2416


@fact('"61K parameters"', SHARIF)
def test_lenet_parameters():
    assert sum(parameters_of_layers("lenet5")) == 61_706
    assert sum(parameters_of_layers("lenet5_1998")) == 60_000


@fact("convolutions 5x5 stride 1, pooling 2x2 stride 2", SHARIF, CS231N)
def test_lenet_form():
    for conv in layers("lenet5", nn.Conv2d):
        assert (conv.kernel_size, conv.stride) == (5, 1)
    for pool in layers("lenet5", nn.AvgPool2d):
        assert (pool.kernel_size, pool.stride) == (2, 2)
    form = [kind for kind in kinds("lenet5") if kind in ("Conv2d", "AvgPool2d", "Linear")]
    assert form == ["Conv2d", "AvgPool2d"] * 2 + ["Linear"] * 3


@fact('"2 Conv + 2 FC"', CS231N, WANG)
def test_lenet_layers():
    assert parameters_of_layers("lenet5") == [156, 2416, 48120, 10164, 850]
    # the slides say 2 convolutions and 2 linear layers; there are 3 of these
    assert len(layers("lenet5", nn.Conv2d)) == 2 and len(layers("lenet5", nn.Linear)) == 3
    assert [m.out_features for m in layers("lenet5", nn.Linear)] == [120, 84, 10]
    assert parameters_of_layers("lenet5_1998") == [156, 12, 1516, 32, 48120, 10164]
    convolutions = layers("lenet5_1998", nn.Conv2d | nn.PartialConv2d)
    assert len(convolutions) == 3 and len(layers("lenet5_1998", nn.RBF)) == 1


# ---- AlexNet


@fact("conv1 weights `11*11*3*96", MELBOURNE, SHARIF, CS231N, WANG)
def test_alexnet_first_layer():
    assert weights_of_layers("alexnet_single")[0] == 11 * 11 * 3 * 96 == 34_848
    assert parameters_of_layers("alexnet_single")[0] == (11 * 11 * 3 + 1) * 96 == 34_944


@fact("conv1 96@11x11/4 p0 -> `55x55x96`", MELBOURNE, SHARIF, CS231N)
def test_alexnet_first_sizes():
    for name in ("alexnet_single", "alexnet_2012"):
        assert model_info(name).input_shape == (227, 227, 3)
        assert in_order(square((55, 96), (27, 96)), maps(name))
    assert ((227 - 11) / 4 + 1, (55 - 3) / 2 + 1) == (55, 27)
    model = traced("alexnet_2012")[0]
    assert not list(model.pool1.parameters())
    # a stream of the paper has half the maps: 55x55x48, 27x27x48
    assert model.conv2.groups == 2 and model.conv2.in_channels // 2 == 48


@fact('"5x5x48x256 = 614,400"', MELBOURNE, WANG)
def test_alexnet_second_layer():
    # the slide's product is 307,200; 614,400 is the second layer of the single stream
    assert weights_of_layers("alexnet_2012")[1] == 5 * 5 * 48 * 256 == 307_200
    assert parameters_of_layers("alexnet_2012")[1] == 307_456
    assert weights_of_layers("alexnet_single")[1] == 5 * 5 * 96 * 256 == 614_400
    assert parameters_of_layers("alexnet_single")[1] == 614_656
    conv2 = traced("alexnet_2012")[0].conv2
    assert conv2.out_channels // conv2.groups == 128 and conv2.padding == 2
    assert (27, 27, 256) in maps("alexnet_2012")


@fact("conv3 `3*3*256*384", MELBOURNE)
def test_alexnet_grouped_weights():
    conv1, conv2, conv3, conv4, conv5 = weights_of_layers("alexnet_2012")[:5]
    assert (conv1, conv2, conv3, conv4, conv5) == (34_848, 307_200, 884_736, 663_552, 442_368)
    assert not any(list(m.parameters()) for m in layers("alexnet_2012", nn.MaxPool2d))
    # both streams together: 192 + 192, 192 + 192, 128 + 128
    assert in_order(square((13, 384), (13, 384), (13, 256)), maps("alexnet_2012"))


@fact("whole simplified net: 55x55x96", CS231N)
def test_alexnet_sizes():
    hidden = [(1, 1, 4096), (1, 1, 4096), (1, 1, 1000)]
    sizes = square((55, 96), (27, 96), (27, 256), (13, 256), (13, 384), (13, 384), (13, 256))
    assert in_order([*sizes, (6, 6, 256), *hidden], maps("alexnet_2012"))
    assert len(layers("alexnet_2012", nn.LocalResponseNorm)) == 2
    # the slide pools, then normalises; the paper normalises, then pools
    order = kinds("alexnet_2012")
    assert order.index("MaxPool2d") == order.index("LocalResponseNorm") + 1


@fact("conv1, 2, 4, 5 connect within one GPU", CS231N)
def test_alexnet_groups():
    # conv1 reads the whole image; among the others 2, 4 and 5 stay on their GPU
    assert [m.groups for m in layers("alexnet_2012", nn.Conv2d)] == [1, 2, 1, 2, 2]
    linear = [m.in_features for m in layers("alexnet_2012", nn.Linear)]
    assert linear == [6 * 6 * 256, 4096, 4096]


@fact("`62M` parameters: single stream", SHARIF, WANG)
def test_alexnet_parameters():
    assert sum(parameters_of_layers("alexnet_single")) == 62_378_344
    assert sum(parameters_of_layers("alexnet_2012")) == 60_965_224


@fact("dropout 0.5, batch 128, SGD momentum 0.9", CS231N)
def test_alexnet_ingredients():
    assert [m.p for m in layers("alexnet_2012", nn.Dropout)] == [0.5, 0.5]
    assert kinds("alexnet_2012").count("ReLU") == 7
    assert len(layers("alexnet_2012", nn.LocalResponseNorm)) == 2


@fact("torchvision's first layer weight shape", CS231N)
def test_alexnet_of_torchvision_first_layer():
    assert layers("alexnet", nn.Conv2d)[0].torch_view("weight").shape == (64, 3, 11, 11)


@fact("003: blocks: conv 96@11x11 s4 p0", COMP5329)
def test_alexnet_blocks():
    sizes = ((55, 96), (27, 96), (27, 256), (13, 256), (13, 384), (13, 384), (13, 256), (6, 256))
    assert in_order([*square(*sizes), (1, 1, 9216)], maps("alexnet_003"))
    windows = [(m.out_channels, m.kernel_size) for m in layers("alexnet_003", nn.Conv2d)]
    assert windows == [(96, 11), (256, 5), (384, 3), (384, 3), (256, 3)]


@fact('"Block 3,4: input channels 256"', COMP5329)
def test_alexnet_input_channels_of_blocks():
    _, _, block3, block4, block5 = layers("alexnet_003", nn.Conv2d)
    # the slide says that blocks 3 and 4 have 256 input channels; block 4 has 384
    assert (block3.in_channels, block4.in_channels, block5.in_channels) == (256, 384, 384)


@fact("only Linear(9216,4096), Linear(4096,1000)", COMP5329)
def test_alexnet_without_fc7():
    linear = [(m.in_features, m.out_features) for m in layers("alexnet_003", nn.Linear)]
    assert linear == [(9216, 4096), (4096, 1000)]
    assert sum(parameters_of_layers("alexnet_003")) == 45_597_032
    # what the slide forgets
    assert sum(parameters_of_layers("alexnet_003")) + 4096 * 4096 + 4096 == 62_378_344


@fact("Keras listing, 100 classes", WANG)
def test_alexnet_as_the_keras_listing():
    assert [m.groups for m in layers("alexnet_bn", nn.Conv2d)] == [1] * 5
    trained = {path: p.size for path, p in traced("alexnet_bn")[0].named_parameters()}
    by_layer = {}
    for path, size in trained.items():
        layer = path.rpartition(".")[0]
        by_layer[layer] = by_layer.get(layer, 0) + size
    # Keras counts the running statistics among a batch norm's parameters: 384 and 1,024
    running = {"bn1": 2 * 96, "bn2": 2 * 256}
    for layer, size in running.items():
        by_layer[layer] += size
    order = ("conv1", "bn1", "conv2", "bn2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    assert [by_layer[layer] for layer in order] == [
        34944, 384, 614656, 1024, 885120, 1327488, 884992, 37752832, 16781312, 409700,
    ]  # fmt: skip
    assert sum(by_layer.values()) == 58_692_452
    assert (sum(trained.values()), sum(running.values())) == (58_691_748, 704)
    # batch norm stands behind the pooling
    order = kinds("alexnet_bn")
    assert order.index("BatchNorm2d") == order.index("MaxPool2d") + 1
    assert [m.p for m in layers("alexnet_bn", nn.Dropout)] == [0.5, 0.5]
    with fc.Trace(meta=True):
        two_kinds = create_model("alexnet_bn", num_classes=1)
        assert two_kinds(meta_input((1, 227, 227, 3))).shape == (1, 1)


@fact("Keras listing, 100 classes", WANG)
def test_alexnet_output_shapes_of_the_keras_listing():
    """There padding is a layer of its own."""
    shapes = []
    for r in traced("alexnet_bn")[1].records:
        kind = type(r.module)
        if kind is nn.Conv2d and r.module.padding:
            shapes.append(r.inputs[0][0][1] + 2 * r.module.padding)
        if kind in (nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d):
            shapes.append(r.outputs[0][0][1])
        if kind in (nn.Flatten, nn.Linear):
            shapes.append(r.outputs[0][0][-1])
    assert shapes == [
        55, 27, 27, 31, 27, 13, 13, 15, 13, 15, 13, 15, 13, 6, 9216, 4096, 4096, 100,
    ]  # fmt: skip


@fact('"5 Conv + 3 FC"', MELBOURNE, WANG)
def test_alexnet_layers():
    for name in ("alexnet", "alexnet_2012", "alexnet_single", "alexnet_bn"):
        convolutions, linear = len(layers(name, nn.Conv2d)), len(layers(name, nn.Linear))
        assert (convolutions, linear) == (5, 3)
        assert convolutions + linear == 8


# ---- VGG


@fact("3x3 pad 1 stride 1, max pool 2x2/2", MELBOURNE, CS231N, WANG)
@pytest.mark.parametrize("depth", [16, 19])
def test_vgg_form(depth):
    name = f"vgg{depth}"
    for m in layers(name, nn.Conv2d):
        assert (m.kernel_size, m.stride, m.padding) == (3, 1, 1)
    for m in layers(name, nn.MaxPool2d):
        assert (m.kernel_size, m.stride) == (2, 2)
    assert len(layers(name, nn.Conv2d | nn.Linear)) == depth


@fact('"VGG16: 13 Conv + 2 FC"', WANG)
def test_vgg16_layers():
    # the slide says 2 linear layers
    assert len(layers("vgg16", nn.Conv2d)) == 13 and len(layers("vgg16", nn.Linear)) == 3


@fact("VGG-16 weights without biases", CS231N)
def test_vgg16_weights():
    assert weights_of_layers("vgg16") == [
        1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824, 1_179_648, 2_359_296,
        2_359_296, 2_359_296, 2_359_296, 2_359_296, 102_760_448, 16_777_216, 4_096_000,
    ]  # fmt: skip
    assert sum(weights_of_layers("vgg16")) == 138_344_128
    assert sum(parameters_of_layers("vgg16")) == 138_357_544


@fact("activations 224,224 (64) 112", CS231N)
def test_vgg16_activations():
    rows = ((224, 224, 112, 64), (112, 112, 56, 128), (56, 56, 56, 28, 256))
    rows += ((28, 28, 28, 14, 512), (14, 14, 14, 7, 512))
    assert in_order([(s, s, c) for *sides, c in rows for s in sides], maps("vgg16"))


@fact('first FC = "74%"', CS231N)
def test_vgg16_first_linear_layer():
    weights = weights_of_layers("vgg16")
    assert round(weights[13] / sum(weights), 3) == 0.743


@fact('"TOTAL memory 24M * 4 bytes', CS231N)
def test_vgg16_memory():
    """The slide's rows (input, convolutions, poolings, linear layers) do not add up to its 24 M."""
    rows = [r for r in traced("vgg16")[1].records if r.name in ("Conv2d", "MaxPool2d", "Linear")]
    sizes = [224 * 224 * 3, *(prod(r.outputs[0][0]) for r in rows)]
    assert sum(sizes) == 15_237_608
    assert 4 * sum(sizes) == 60_950_432
    assert round(4 * sum(sizes) / 2**20, 1) == 58.1
    # its roundings of a row are right: 150K, 3.2M, 3.2M, 800K, 1.6M
    assert [round(n, -4) for n in sizes[:5]] == [150_000, 3_210_000, 3_210_000, 800_000, 1_610_000]


@fact("VGG-11 table, both inputs", COMP5329)
def test_vgg11_for_both_inputs():
    convolutions = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))
    for name, size, hidden, classes in (
        ("vgg11", 224, (25088, 4096, 4096), 1000),
        ("vgg11_cifar", 32, (512, 2048, 2048), 10),
    ):
        table = []
        for i, (n, channels) in enumerate(convolutions):
            table += [(size >> i, channels)] * n + [(size >> (i + 1), channels)]
        linear = [(1, 1, n) for n in (*hidden, classes)]
        assert in_order([*square(*table), *linear], maps(name))
    assert sum(parameters_of_layers("vgg11")) == 132_863_336
    assert sum(parameters_of_layers("vgg11_cifar")) == 14_487_946
    assert sum(r.macs for r in traced("vgg11_cifar")[1].records) == 158_027_776


@fact("second in classification, first in localisation", MELBOURNE, CS231N)
def test_vgg_has_no_response_norm():
    for depth in (11, 13, 16, 19):
        assert not layers(f"vgg{depth}", nn.LocalResponseNorm)
    assert len(layers("vgg19", nn.Conv2d | nn.Linear)) == 19
