"""EfficientNet: one small network found by search, scaled in three ways at once. Tan and Le 2019
(arXiv 1905.11946).

    depth d = 1.2^phi, width w = 1.1^phi, resolution r = 1.15^phi: about 2^phi times the work

A block (MBConv, MobileNetV2's with squeeze-and-excitation): 1x1 expand, k x k depthwise, SE, 1x1
project without activation; plus x where the shape stays, with stochastic depth. The activation is
SiLU. Images (N, H, W, C). Attribute names are torchvision's.
"""

import re
from functools import partial
from math import ceil
from typing import NamedTuple

from fastconv import nn
from fastconv.models.blocks import ConvNorm, divisible
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

EFFICIENTNET = Architecture(
    name="EfficientNet",
    title="EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    authors="Tan, Le",
    year=2019,
    link="arXiv 1905.11946",
    introduced="depth, width and resolution grow together, by one coefficient",
    descends_from=("MobileNet v2", "MnasNet", "SENet"),
)


class Residual(nn.Module):
    """x + F(x) where the shape stays, else F(x); F: the modules of `block`, a ConvNorm at the end.

    drop: probability that an image of a training batch goes without F (Huang et al. 2016).
    """

    def __init__(self, block, shortcut, drop):
        super().__init__()
        self.block = nn.Sequential(*block)
        self.shortcut = shortcut
        self.stochastic_depth = nn.DropPath(drop)

    def forward(self, x):
        *layers, last = self.block
        y = x
        for layer in layers:
            y = layer(y)
        if not self.shortcut:
            return last(y)
        if last.act or (self.training and self.stochastic_depth.p):
            # the sum comes behind what the fused op does last
            return self.stochastic_depth(last(y)) + x
        return last(y, residual=x)


class MBConv(Residual):
    """1x1 expand (left out for expand=1), depthwise, SE to a quarter of in_channels, 1x1."""

    def __init__(self, in_channels, out_channels, expand, kernel_size, stride, drop):
        wide = in_channels * expand
        block = [
            ConvNorm(wide, wide, kernel_size, stride, groups=wide, act="silu"),
            nn.SqueezeExcitation(wide, max(1, in_channels // 4), activation="silu"),
            ConvNorm(wide, out_channels),
        ]
        if expand > 1:
            block.insert(0, ConvNorm(in_channels, wide, act="silu"))
        super().__init__(block, stride == 1 and in_channels == out_channels, drop)


class Stage(NamedTuple):
    """A row of the papers' tables: `depth` blocks, the first with the stride."""

    block: type
    expand: int
    kernel_size: int
    stride: int
    channels: int
    depth: int


# Tan and Le 2019, table 1
#         operator expand kernel stride channels layers
B0 = (
    Stage(MBConv,  1,     3,     1,     16,      1),
    Stage(MBConv,  6,     3,     2,     24,      2),
    Stage(MBConv,  6,     5,     2,     40,      2),
    Stage(MBConv,  6,     3,     2,     80,      3),
    Stage(MBConv,  6,     5,     1,     112,     3),
    Stage(MBConv,  6,     5,     2,     192,     4),
    Stage(MBConv,  6,     3,     1,     320,     1),
)  # fmt: skip

# timm's name of a layer in a block: ours
TIMMS_PARTS = {
    "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "se.conv_reduce": "2.fc1",
    "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1",
}  # fmt: skip
TIMMS_PARTS_UNEXPANDED = {
    "conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2",
    "conv_pw": "2.0", "bn2": "2.1",
}  # fmt: skip


def timms_names():
    """(pattern, replacement) from timm's names (efficientnet_b0 to b7, tf_ or not) to ours."""
    last = len(B0) + 1
    for name, place in (("conv_stem", "0.0"), ("bn1", "0.1")):
        yield rf"^{name}\.", f"features.{place}."
    for name, place in (("conv_head", 0), ("bn2", 1)):
        yield rf"^{name}\.", f"features.{last}.{place}."
    yield r"^classifier\.(weight|bias)$", r"classifier.1.\1"
    for stage, row in enumerate(B0):
        parts = TIMMS_PARTS if row.expand > 1 else TIMMS_PARTS_UNEXPANDED
        for name, place in parts.items():
            pattern = rf"^blocks\.{stage}\.(\d+)\.{re.escape(name)}\."
            yield pattern, rf"features.{stage + 1}.\1.block.{place}."


class EfficientNet(nn.Module):
    """3x3 stem, stages of blocks, 1x1 to `head` channels, global average, dropout, linear.

    stochastic_depth: the i-th of n blocks is dropped with probability stochastic_depth * i / n.
    eps, momentum: of every batch norm.
    """

    key_map = tuple(timms_names())

    def __init__(
        self,
        stem,
        stages,
        head,
        num_classes=1000,
        in_channels=3,
        dropout=0.2,
        stochastic_depth=0.2,
        eps=1e-5,
        momentum=0.1,
    ):
        super().__init__()
        parts = [ConvNorm(in_channels, stem, 3, 2, act="silu")]
        channels, count, total = stem, 0, sum(stage.depth for stage in stages)
        for block, expand, kernel_size, stride, out_channels, depth in stages:
            blocks = []
            for _ in range(depth):
                drop = stochastic_depth * count / total
                blocks.append(block(channels, out_channels, expand, kernel_size, stride, drop))
                channels, stride, count = out_channels, 1, count + 1
            parts.append(nn.Sequential(*blocks))
        parts.append(ConvNorm(channels, head, act="silu"))
        self.features = nn.Sequential(*parts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(dropout), classifier(head, num_classes))
        for module in self.modules():  # as torchvision
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = eps, momentum
            elif isinstance(module, nn.Linear):
                bound = module.out_features**-0.5
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps behind the last 1x1 convolution, (N, 7, 7, 1280) for B0 at 224 x 224."""
        return self.features(x)

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.classifier(self.flatten(x))


# the reference implementation's coefficients; resolutions 224 240 260 300 380 456 528 600
# width depth dropout
SCALING = {
    0: (1.0, 1.0, 0.2),
    1: (1.0, 1.1, 0.2),
    2: (1.1, 1.2, 0.3),
    3: (1.2, 1.4, 0.3),
    4: (1.4, 1.8, 0.4),
    5: (1.6, 2.2, 0.4),
    6: (1.8, 2.6, 0.5),
    7: (2.0, 3.1, 0.5),
}


def scaled(phi, num_classes, in_channels, **options):
    """B0 with the width and the depth of Bphi."""
    width, depth, dropout = SCALING[phi]
    stages = [
        stage._replace(channels=divisible(stage.channels * width), depth=ceil(stage.depth * depth))
        for stage in B0
    ]
    stem = divisible(32 * width)
    head = 4 * stages[-1].channels
    options = {"dropout": dropout} | options
    return EfficientNet(stem, stages, head, num_classes, in_channels, **options)


def published(paper, top1, top5, size, weights="V1"):
    """What the paper's authors and torchvision's weights reach."""
    return (
        Accuracy(paper, None, "ImageNet validation", "README of tensorflow/tpu's EfficientNet"),
        Accuracy(
            top1,
            top5,
            f"ImageNet validation, one {size} x {size} crop",
            f"torchvision's weights IMAGENET1K_{weights}",
        ),
    )


def photographs(resize, crop, interpolation="bicubic"):
    """What torchvision's weights are fed."""
    return Preprocessing(resize, crop, interpolation)


_SOURCE = "Tan and Le 2019, table 1"
_SCALED = "Tan and Le 2019, table 1, scaled as the reference implementation"
_scaled = partial(register, EFFICIENTNET, source=_SCALED)


@register(
    EFFICIENTNET,
    params=5_288_548,
    macs=385_814_752,
    source=_SOURCE,
    accuracy=published(76.3, 77.692, 93.532, 224),
    preprocessing=photographs(256, 224),
    weights="timm/efficientnet_b0.ra_in1k",
)
def efficientnet_b0(num_classes=1000, in_channels=3):
    return scaled(0, num_classes, in_channels)


@_scaled(
    params=7_794_184,
    macs=686_802_832,
    input_shape=(240, 240, 3),
    accuracy=published(78.8, 79.838, 94.934, 240, "V2"),
    preprocessing=photographs(255, 240, "bilinear"),
)
def efficientnet_b1(num_classes=1000, in_channels=3):
    return scaled(1, num_classes, in_channels)


@_scaled(
    params=9_109_994,
    macs=1_087_529_456,
    input_shape=(288, 288, 3),
    accuracy=published(79.8, 80.608, 95.31, 288),
    preprocessing=photographs(288, 288),  # timm trained its weights at 256 and tests them at 288
    weights="timm/efficientnet_b2.ra_in1k",
)
def efficientnet_b2(num_classes=1000, in_channels=3):
    return scaled(2, num_classes, in_channels)


@_scaled(
    params=12_233_232,
    macs=1_827_141_392,
    input_shape=(300, 300, 3),
    accuracy=published(81.1, 82.008, 96.054, 300),
    preprocessing=photographs(320, 300),
)
def efficientnet_b3(num_classes=1000, in_channels=3):
    return scaled(3, num_classes, in_channels)


@_scaled(
    params=19_341_616,
    macs=4_393_771_024,
    input_shape=(380, 380, 3),
    accuracy=published(82.6, 83.384, 96.594, 380),
    preprocessing=photographs(384, 380),
)
def efficientnet_b4(num_classes=1000, in_channels=3):
    return scaled(4, num_classes, in_channels)


@_scaled(
    params=30_389_784,
    macs=10_266_384_752,
    input_shape=(456, 456, 3),
    accuracy=published(83.3, 83.444, 96.628, 456),
    preprocessing=photographs(456, 456),
)
def efficientnet_b5(num_classes=1000, in_channels=3):
    return scaled(5, num_classes, in_channels, eps=1e-3, momentum=0.01)


@_scaled(
    params=43_040_704,
    macs=19_067_593_536,
    input_shape=(528, 528, 3),
    accuracy=published(84.0, 84.008, 96.916, 528),
    preprocessing=photographs(528, 528),
)
def efficientnet_b6(num_classes=1000, in_channels=3):
    return scaled(6, num_classes, in_channels, eps=1e-3, momentum=0.01)


@_scaled(
    params=66_347_960,
    macs=37_745_884_192,
    input_shape=(600, 600, 3),
    accuracy=published(84.3, 84.122, 96.908, 600),
    preprocessing=photographs(600, 600),
)
def efficientnet_b7(num_classes=1000, in_channels=3):
    return scaled(7, num_classes, in_channels, eps=1e-3, momentum=0.01)


@register(
    EFFICIENTNET,
    params=5_288_548,
    macs=385_814_752,
    source=_SOURCE + "; padding and batch norm as TensorFlow's",
    accuracy=(
        Accuracy(
            76.882,
            93.27,
            "ImageNet validation, one 224 x 224 crop",
            "timm's table, tf_efficientnet_b0.aa_in1k",
        ),
    ),
    preprocessing=photographs(256, 224),
    weights="timm/tf_efficientnet_b0.aa_in1k",
)
def tf_efficientnet_b0(num_classes=1000, in_channels=3, dropout=0.0, stochastic_depth=0.0):
    """B0 as trained in TensorFlow. Drops nothing unless told to, as timm's; the paper: 0.2, 0.2."""
    model = scaled(
        0, num_classes, in_channels, dropout=dropout, stochastic_depth=stochastic_depth, eps=1e-3
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size > 1:
            module.padding = "same"  # at stride 2 the odd pixel goes to bottom and right
    return model
