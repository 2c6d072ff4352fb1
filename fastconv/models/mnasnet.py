"""MnasNet: inverted residuals searched by a phone's latency. Tan et al. 2018 (arXiv 1807.11626).

    y = bn(1x1(se(relu(bn(depthwise(relu(bn(1x1(x)))))))))  + x where the shape stays

    mnasnet0_5 .. 1_3   B1, without squeeze-and-excitation (se), as torchvision has it
    mnasnet_a1          A1, the paper's own, with it in some stages; names and epsilon as timm

Images (N, H, W, C), 224 x 224 in the paper.
"""

from math import sqrt

from fastconv import nn
from fastconv.models.blocks import FusedSequential, divisible
from fastconv.models.head import classifier
from fastconv.models.info import IMAGENET, Accuracy, Architecture, Preprocessing
from fastconv.models.mobilenet_v1 import initialise
from fastconv.models.registry import register

MNASNET = Architecture(
    name="MnasNet",
    title="MnasNet: Platform-Aware Neural Architecture Search for Mobile",
    authors="Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le",
    year=2018,
    link="arXiv 1807.11626",
    introduced="a search that measures latency on the phone and chooses each stage's block",
    descends_from=("MobileNet v2", "NASNet-A", "SENet"),
)

MOMENTUM = 1 - 0.9997  # TensorFlow counts what stays


# ---- B1

# torchvision's mnasnet, after TensorFlow's mnasnet-b1; the stem and a separable 3x3 come before
# window stride expansion repetitions channels
B1 = (
    (3,  2,     3,        3,          24),
    (5,  2,     3,        3,          40),
    (5,  2,     6,        3,          80),
    (3,  1,     6,        2,          96),
    (5,  2,     6,        4,          192),
    (3,  1,     6,        1,          320),
)  # fmt: skip


def conv_bn(in_channels, out_channels, size=1, stride=1, groups=1, relu=True):
    """Two layers, or three with ReLU."""
    return (
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels, momentum=MOMENTUM),
        *([nn.ReLU()] if relu else []),
    )


class InvertedResidual(nn.Module):
    """1x1 expand, depthwise, 1x1 project without activation."""

    def __init__(self, in_channels, out_channels, size, stride, expansion):
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == out_channels
        self.layers = FusedSequential(
            *conv_bn(in_channels, hidden),
            *conv_bn(hidden, hidden, size, stride, groups=hidden),
            *conv_bn(hidden, out_channels, relu=False),
        )

    def forward(self, x):
        return self.layers(x, x if self.shortcut else None)


def timms_names():
    """(pattern, replacement) from timm's names (mnasnet_100, the same network) to ours."""
    first = 8  # of the stages, in `layers`
    head = first + len(B1)
    for name, number in (("conv_stem", 0), ("bn1", 1), ("conv_head", head), ("bn2", head + 1)):
        yield rf"^{name}\.", f"layers.{number}."
    yield r"^classifier\.(weight|bias)$", r"classifier.1.\1"
    for name, number in (("conv_dw", 3), ("bn1", 4), ("conv_pw", 6), ("bn2", 7)):
        yield rf"^blocks\.0\.0\.{name}\.", f"layers.{number}."
    for name, number in zip(
        ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"), (0, 1, 3, 4, 6, 7)
    ):
        for stage in range(len(B1)):
            pattern = rf"^blocks\.{stage + 1}\.(\d+)\.{name}\."
            yield pattern, rf"layers.{first + stage}.\1.layers.{number}."


class MnasNet(nn.Module):
    """B1: stem, separable convolution, six stages, 1x1 to 1280, pooling, dropout, linear.

    alpha: factor of the channels, rounded to multiples of 8; the last 1280 stay.
    """

    key_map = tuple(timms_names())

    def __init__(self, alpha, dropout=0.2, num_classes=1000, in_channels=3):
        super().__init__()
        stem, channels = divisible(32 * alpha), divisible(16 * alpha)
        layers = [
            *conv_bn(in_channels, stem, 3, 2),
            *conv_bn(stem, stem, 3, groups=stem),
            *conv_bn(stem, channels, relu=False),
        ]
        for size, stride, expansion, repetitions, full in B1:
            width = divisible(full * alpha)
            first = InvertedResidual(channels, width, size, stride, expansion)
            others = [
                InvertedResidual(width, width, size, 1, expansion) for _ in range(repetitions - 1)
            ]
            layers.append(nn.Sequential(first, *others))
            channels = width
        self.layers = FusedSequential(*layers, *conv_bn(channels, 1280))
        self.avgpool = nn.GlobalAvgPool2d()
        self.classifier = nn.Sequential(nn.Dropout(dropout), classifier(1280, num_classes))
        self.initialise()

    def initialise(self):
        """As torchvision: convolutions by He's rule, linear uniform, both with the fan-out."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                bound = sqrt(3 / module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps of the last convolution, (N, 7, 7, 1280) for 224 x 224."""
        return self.layers(x)

    def forward(self, x):
        return self.classifier(self.avgpool(self.forward_features(x)))


# ---- A1

# Tan et al. 2018, figure 7; a separable 3x3 to 16 channels comes before
# window stride expansion repetitions channels SE
A1 = (
    (3,  2,     6,        2,          24,      False),
    (5,  2,     3,        3,          40,      True),
    (3,  2,     6,        4,          80,      False),
    (3,  1,     6,        2,          112,     True),
    (5,  2,     6,        3,          160,     True),
    (3,  1,     6,        1,          320,     False),
)  # fmt: skip


class SeparableBlock(nn.Module):
    """3x3 depthwise, 1x1 without activation: the first block of A1."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv_dw = nn.DepthwiseConv2d(in_channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv_pw = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = nn.conv_bn_act(x, self.conv_dw, self.bn1, "relu")
        return nn.conv_bn_act(x, self.conv_pw, self.bn2)


class InvertedResidualA1(nn.Module):
    """InvertedResidual with squeeze-and-excitation, to a quarter of the block's input channels."""

    def __init__(self, in_channels, out_channels, size, stride, expansion, se):
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == out_channels
        self.conv_pw = nn.Conv2d(in_channels, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv_dw = nn.DepthwiseConv2d(hidden, size, stride, size // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.se = nn.SqueezeExcitation(hidden, in_channels // 4) if se else nn.Identity()
        self.conv_pwl = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        y = nn.conv_bn_act(x, self.conv_pw, self.bn1, "relu")
        y = self.se(nn.conv_bn_act(y, self.conv_dw, self.bn2, "relu"))
        return nn.conv_bn_act(y, self.conv_pwl, self.bn3, residual=x if self.shortcut else None)


class MnasNetA1(nn.Module):
    """Stem, separable block, six stages, 1x1 to 1280, global average pooling, one linear layer."""

    # timm's names of squeeze-and-excitation's convolutions
    key_map = ((r"\.se\.conv_reduce\.", ".se.fc1."), (r"\.se\.conv_expand\.", ".se.fc2."))

    def __init__(self, dropout=0.0, num_classes=1000, in_channels=3):
        super().__init__()
        self.conv_stem = nn.Conv2d(in_channels, 32, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        stages, channels = [nn.Sequential(SeparableBlock(32, 16))], 16
        for size, stride, expansion, repetitions, width, se in A1:
            blocks = []
            for i in range(repetitions):
                blocks.append(
                    InvertedResidualA1(
                        channels, width, size, stride if i == 0 else 1, expansion, se
                    )
                )
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.global_pool = nn.GlobalAvgPool2d()
        self.drop = nn.Dropout(dropout)
        self.classifier = classifier(1280, num_classes)
        initialise(self)

    def forward_features(self, x):
        """The maps of the last convolution, (N, 7, 7, 1280) for 224 x 224."""
        x = self.blocks(nn.conv_bn_act(x, self.conv_stem, self.bn1, "relu"))
        return nn.conv_bn_act(x, self.conv_head, self.bn2, "relu")

    def forward(self, x):
        return self.classifier(self.drop(self.global_pool(self.forward_features(x))))


def _entry(params, macs, top1, top5, preprocessing=IMAGENET):
    what, weights = "ImageNet validation, one crop", "torchvision's IMAGENET1K_V1"
    return register(
        MNASNET,
        params=params,
        macs=macs,
        source="Tan et al. 2018, the B1 network, as torchvision",
        preprocessing=preprocessing,
        accuracy=(Accuracy(top1, top5, what, weights),),
    )


@_entry(2_218_512, 104_455_968, 67.734, 87.49)
def mnasnet0_5(num_classes=1000, in_channels=3, dropout=0.2):
    return MnasNet(0.5, dropout, num_classes, in_channels)


@_entry(3_170_208, 215_493_104, 71.18, 90.496, Preprocessing(232, 224))
def mnasnet0_75(num_classes=1000, in_channels=3, dropout=0.2):
    return MnasNet(0.75, dropout, num_classes, in_channels)


@_entry(4_383_312, 314_415_872, 73.456, 91.51)
def mnasnet1_0(num_classes=1000, in_channels=3, dropout=0.2):
    return MnasNet(1.0, dropout, num_classes, in_channels)


@_entry(6_282_256, 526_362_432, 76.506, 93.522, Preprocessing(232, 224))
def mnasnet1_3(num_classes=1000, in_channels=3, dropout=0.2):
    return MnasNet(1.3, dropout, num_classes, in_channels)


@register(
    MNASNET,
    params=3_887_038,
    macs=311_579_072,
    source="Tan et al. 2018, figure 7; padding and epsilon as timm (semnasnet_100)",
    preprocessing=Preprocessing(256, 224, "bicubic"),
    accuracy=(
        Accuracy(75.2, 92.5, "ImageNet validation", "README of TensorFlow's mnasnet"),
        Accuracy(75.452, 92.608, "ImageNet validation", "timm's table, semnasnet_100.rmsp_in1k"),
    ),
    weights="timm/semnasnet_100.rmsp_in1k",
    aliases=("semnasnet_100",),
)
def mnasnet_a1(num_classes=1000, in_channels=3, dropout=0.0):
    return MnasNetA1(dropout, num_classes, in_channels)
