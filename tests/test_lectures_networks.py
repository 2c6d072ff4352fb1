"""Facts of the lectures about GoogLeNet, ResNet, ResNeXt and MobileNet.

Where a slide errs, the right figure is asserted; the comment says what the slide has.
"""

from importlib import import_module
from math import prod

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model, list_models, model_info
from fastconv.models.resnet import BasicBlock, Bottleneck
from tests.lecture_facts import COMP5329, CS231N, MELBOURNE, SHARIF, WANG, fact
from tests.model_facts import in_order, layers, maps, meta_input, traced

RESNETS = (18, 34, 50, 101, 152)


def parameters(name, **options):
    with fc.Trace(meta=True):
        return sum(p.size for p in create_model(name, **options).parameters())


# ---- Inception modules


def inception(kind, *arguments):
    """One of the two modules of GoogLeNet's paper: (input channels, then as its class has them)."""
    return getattr(import_module("fastconv.models.googlenet"), kind)(*arguments)


def on_maps(size, channels, kind, *arguments):
    """(output shape, multiplications per convolution, weights) of such a module on a square map."""
    with fc.Trace(meta=True) as trace:
        module = inception(kind, channels, *arguments)
        y = module(meta_input((1, size, size, channels)))
    weights = sum(m.weight.size for m in module.modules() if isinstance(m, nn.Conv2d))
    return y.shape[1:], [r.macs for r in trace.records if r.macs], weights


@fact("1x1 branch of naive 3a", MELBOURNE)
def test_naive_module_3a():
    shape, macs, weights = on_maps(28, 192, "NaiveInception", 64, 128, 32)
    assert weights == 387_072
    assert min(macs) == 28 * 28 * 12_288  # the 1x1 branch: 192*1*1*64 weights
    assert shape == (28, 28, 64 + 128 + 32 + 192)


@fact('"Total parameters ~1.7M"', MELBOURNE)
def test_second_naive_module():
    """What the slide's 1.7M is of is not said; the second naive module fits."""
    assert on_maps(28, 416, "NaiveInception", 128, 192, 96)[2] == 1_770_496


@fact("naive example on 28x28x256", SHARIF, CS231N)
def test_ops_of_the_naive_module():
    shape, macs, _ = on_maps(28, 256, "NaiveInception", 128, 192, 96)
    assert shape == (28, 28, 672)
    assert macs == [25_690_112, 346_816_512, 481_689_600]
    assert sum(macs) == 854_196_224


@fact('with 64-channel bottlenecks "Total 358M ops"', SHARIF, CS231N)
def test_ops_of_the_module_with_bottlenecks():
    shape, macs, _ = on_maps(28, 256, "Inception", 128, 64, 192, 64, 96, 64)
    assert shape == (28, 28, 480)
    assert sorted(macs) == [12_845_056] * 3 + [25_690_112, 86_704_128, 120_422_400]
    # the slides say 358M: the product of the 3x3 is in their sum twice
    assert sum(macs) == 271_351_808
    assert (sum(macs) + 86_704_128) // 10**6 == 358


@fact('"28x28x672 = 529k"', CS231N)
def test_values_that_the_naive_module_gives():
    # the slide says 529k
    assert prod(on_maps(28, 256, "NaiveInception", 128, 192, 96)[0]) == 526_848


@fact("Keras module, 256 in, four towers of 64", WANG)
def test_keras_module():
    with fc.Trace(meta=True):
        module = inception("Inception", 256, 64, 64, 64, 64, 64, 64)
        assert module(meta_input((1, 13, 17, 256))).shape == (1, 13, 17, 256)
    assert sum(p.size for p in module.parameters()) == 205_184


# ---- GoogLeNet


@fact("112x112x64, 56x56x64, 56x56x192", MELBOURNE)
def test_googlenet_stages():
    table = ((112, 64), (56, 64), (56, 192), (28, 192), (28, 256), (28, 480), (14, 480))
    table += ((14, 512), (14, 512), (14, 512), (14, 528), (14, 832), (7, 832), (7, 832))
    table += ((7, 1024), (1, 1024), (1, 1000))
    assert in_order([(side, side, c) for side, c in table], maps("googlenet_2014"))
    assert [m.p for m in layers("googlenet_2014", nn.Dropout)] == [0.4]
    assert sum((1, 0, 2, 0, 2 * 9, 0, 0, 1)) == 22


@fact('"only 5 million parameters, 12x less', SHARIF, CS231N, WANG)
def test_googlenet_parameters():
    # the slides say 5 million, 12 times less than AlexNet, 27 times less than VGG-16
    ours = parameters("googlenet_2014")
    assert ours == 6_998_552
    assert parameters("googlenet_2014", aux_heads=True) == 13_378_280
    assert parameters("googlenet") == 6_624_904
    ratios = [parameters(other) / ours for other in ("alexnet_2012", "vgg16")]
    assert [round(r, 1) for r in ratios] == [8.7, 19.8]


@fact("22 layers with weights (parallel branches", CS231N, WANG)
def test_googlenet_layers():
    convolutions = len(layers("googlenet_2014", nn.Conv2d))
    # a module has 6, two of them one behind the other
    stem = convolutions - 9 * 6
    assert stem == 3 and len(layers("googlenet_2014", nn.Linear)) == 1
    assert stem + 9 * 2 + 1 == 22
    first = [type(r.module).__name__ for r in traced("googlenet_2014")[1].records]
    first = [kind for kind in first if kind in ("Conv2d", "MaxPool2d", "LocalResponseNorm")][:7]
    assert (first.count("Conv2d"), first.count("MaxPool2d")) == (3, 2)
    assert first.count("LocalResponseNorm") == 2
    assert [k for k in first if k != "LocalResponseNorm"] == [
        "Conv2d", "MaxPool2d", "Conv2d", "Conv2d", "MaxPool2d",
    ]  # fmt: skip
    with fc.Trace(meta=True):
        model = create_model("googlenet_2014", aux_heads=True)
    kinds = [type(m).__name__ for m in model.aux1.modules()]
    head = [k for k in kinds if k in ("AvgPool2d", "Conv2d", "Linear")]
    assert head == ["AvgPool2d", "Conv2d", "Linear", "Linear"]


@fact("top-5 `6.7%` (7-model ensemble", MELBOURNE, CS231N)
def test_googlenet_result():
    told = [a for a in model_info("googlenet_2014").accuracy if "7 models" in a.what]
    assert [round(100 - a.top5, 2) for a in told] == [6.67]


# ---- ResNet


@fact("stage table for 18/34/50/101/152", MELBOURNE, COMP5329)
@pytest.mark.parametrize("depth", RESNETS)
def test_resnet_stages(depth):
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
    blocks[152] = (3, 8, 36, 3)
    model, trace, _ = traced(f"resnet{depth}")
    stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    assert tuple(len(stage) for stage in stages) == blocks[depth]
    assert maps(f"resnet{depth}")[0][:2] == (112, 112)
    assert [trace.shapes[stage][1] for stage in stages] == [56, 28, 14, 7]
    assert trace.shapes[model.avgpool][1:3] == (1, 1) and trace.shapes[model.fc] == (1, 1000)
    for stage, stride in zip(stages, (1, 2, 2, 2)):
        strides = [max(m.stride for m in b.modules() if hasattr(m, "stride")) for b in stage]
        assert strides == [stride] + [1] * (len(stage) - 1)


@fact("FLOPs (multiply-adds, paper's rounding)", COMP5329)
def test_resnet_multiply_adds():
    counted = {
        "resnet18": 1_814_073_344, "resnet34": 3_663_761_408, "resnet50_v1": 3_857_973_248,
        "resnet101_v1": 7_570_194_432, "resnet152_v1": 11_282_415_616,
    }  # fmt: skip
    slide = (1.8, 3.6, 3.8, 7.6, 11.3)
    for (name, macs), billions in zip(counted.items(), slide):
        assert sum(r.macs for r in traced(name)[1].records) == macs
        # the paper cuts off the first three and rounds the other two up
        assert billions - 0.1 < macs / 1e9 < billions + 0.1
    # a stride in the 3x3 costs more: torchvision's fails a comparison with the slide's 3.8
    v15 = (4_089_184_256, 7_801_405_440, 11_513_626_624)
    for depth, macs in zip((50, 101, 152), v15):
        assert sum(r.macs for r in traced(f"resnet{depth}")[1].records) == macs
        assert macs - counted[f"resnet{depth}_v1"] == 231_211_008
        assert model_info(f"resnet{depth}_v1").params == model_info(f"resnet{depth}").params


@fact("F(x) = H(x) - x; identity if F = 0", MELBOURNE, SHARIF, CS231N)
def test_resnet_form(rng):
    for depth in RESNETS:
        name = f"resnet{depth}"
        assert len(layers(name, nn.Linear)) == 1 and not layers(name, nn.Dropout)
        assert len(layers(name, nn.BatchNorm2d)) == len(layers(name, nn.Conv2d))
        assert bool(layers(name, Bottleneck)) == (depth >= 50)
        assert bool(layers(name, BasicBlock)) == (depth < 50)
    block = BasicBlock(4, 4)
    nn.init.zeros_(block.bn2.weight)  # F = 0
    x = rng.uniform(0, 1, (2, 5, 6, 4)).astype("float32")
    np.testing.assert_array_equal(block(fc.tensor(x)).numpy(), x)


@fact('"every residual block has two 3x3', SHARIF)
@pytest.mark.parametrize("depth", RESNETS)
def test_3x3_per_residual_block(depth):
    # true of 18 and 34 layers; a bottleneck has one
    for block in layers(f"resnet{depth}", BasicBlock | Bottleneck):
        windows = [m.kernel_size for m in block.modules() if isinstance(m, nn.Conv2d)]
        assert windows.count(3) == (2 if depth < 50 else 1)


@fact('weight decay "1e-5"', CS231N)
def test_resnet_starts_by_hes_rule():
    """The slide says Xavier initialisation; it is He's (and the weight decay is 1e-4)."""
    w = create_model("resnet18").layer2[0].conv1.weight.numpy()  # 64 to 128 channels
    he, xavier = 2 / (128 * 9), 2 / (64 * 9 + 128 * 9)
    deviation = np.sqrt(2 / w.size)  # relative, of a mean of that many squares
    assert abs(np.mean(w**2) / he - 1) < 5 * deviation
    assert abs(np.mean(w**2) / xavier - 1) > 50 * deviation


@fact("up to 151 conv + 1 FC = 152 layers", WANG)
@pytest.mark.parametrize("depth", RESNETS)
def test_resnet_depth(depth):
    name = f"resnet{depth}"
    blocks = layers(name, BasicBlock | Bottleneck)
    projections = sum(b.downsample is not None for b in blocks)
    convolutions = len(layers(name, nn.Conv2d))
    assert convolutions - projections + 1 == depth
    assert depth != 152 or (convolutions, convolutions - projections) == (155, 151)


@fact("ResNeXt: g parallel paths", SHARIF)
def test_resnext_paths():
    """32 paths as groups of the 3x3 convolution, joined by the last 1x1 of the block."""
    convolutions = layers("resnext50_32x4d", nn.Conv2d)
    grouped = [i for i, m in enumerate(convolutions) if m.groups > 1]
    assert len(grouped) == 3 + 4 + 6 + 3
    for i in grouped:
        paths, joined = convolutions[i : i + 2]
        assert (paths.groups, paths.kernel_size) == (32, 3)
        assert (joined.groups, joined.kernel_size) == (1, 1)


DEPTHS = {"alexnet_2012": 8, "vgg19": 19, "googlenet_2014": 22, "resnet152": 152}


@fact("top-5 table AlexNet 8 layers", MELBOURNE)
@pytest.mark.parametrize("name", DEPTHS)
def test_layers_one_behind_the_other(name):
    """The longest way from the image to the logits, counted in layers with weights."""
    counted = len(layers(name, nn.Conv2d | nn.Linear))
    beside = 9 * 4 if name == "googlenet_2014" else 4 if name == "resnet152" else 0
    assert counted - beside == DEPTHS[name]


# ---- MobileNet


@fact("about `4M` parameters: keras total", WANG)
def test_mobilenet_parameters():
    norms = layers("mobilenet_v1", nn.BatchNorm2d)
    running = sum(m.running_mean.size + m.running_var.size for m in norms)
    assert (parameters("mobilenet_v1"), running) == (4_231_976, 21_888)
    assert parameters("mobilenet_v1") + running == 4_253_864


@fact("keras defaults alpha 1.0", WANG)
def test_mobilenet_arguments():
    with fc.Trace(meta=True):
        options = {"alpha": 1.0, "depth_multiplier": 1, "dropout": 1e-3, "num_classes": 1000}
        model = create_model("mobilenet_v1", **options)
    assert sum(p.size for p in model.parameters()) == parameters("mobilenet_v1")
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [1e-3]
    assert parameters("mobilenet_v1", alpha=0.5) < parameters("mobilenet_v1") / 3


@fact('"SeparableConv2D can be used to build MobileNet"', WANG)
def test_mobilenet_has_more_between_depthwise_and_1x1():
    # the slide builds it of SeparableConv2D, which has nothing between the two
    separable = list(nn.SeparableConv2d(4, 8, 3).modules())
    assert not any(isinstance(m, nn.BatchNorm2d | nn.ReLU6) for m in separable)
    records = [r for r in traced("mobilenet_v1")[1].records if len(r.inputs[0][0]) == 4]
    assert len(layers("mobilenet_v1", nn.BatchNorm2d)) == len(layers("mobilenet_v1", nn.Conv2d))
    fused = [r for r in records if r.name == "ConvBnAct"]
    assert len(fused) == len(layers("mobilenet_v1", nn.Conv2d)) == 27
    assert all("relu6" in str(r.fields) for r in fused)


# ---- networks that are named without figures

NAMED = {
    "alexnet": "AlexNet", "vgg16": "VGG", "nin_cifar10": "NiN", "googlenet_2014": "GoogLeNet",
    "resnet50": "ResNet", "resnext50_32x4d": "ResNeXt", "senet154": "SENet",
    "wide_resnet50_2": "Wide ResNet", "densenet121": "DenseNet", "mobilenet_v1": "MobileNet v1",
    "nasnet_mobile": "NASNet-A", "efficientnet_b0": "EfficientNet", "zfnet": "ZFNet",
    "shufflenet_v1_g3": "ShuffleNet v1", "inception_v4": "Inception-v4",
}  # fmt: skip


@fact("also SENet, Wide ResNet", MELBOURNE, SHARIF, CS231N)
@pytest.mark.parametrize("name", NAMED)
def test_named_architectures_are_here(name):
    assert name in list_models()
    assert model_info(name).architecture.name == NAMED[name]
