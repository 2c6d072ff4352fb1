"""Squeeze-and-excitation networks: y = relu(s * F(x) + x), s a number per channel. Hu et al. 2017.

    s = sigmoid(fc2(relu(fc1(mean of F(x) over H and W)))), fc1 to a sixteenth of the channels

arXiv 1709.01507. The authors' (caffe) networks stride in the first 1x1 and pool 3x3 without
padding, rounding up; the _timm one strides in the 3x3 and pads as torchvision. SENet-154 is
ResNeXt-152 with a stem of three 3x3 convolutions, its first 1x1 halved and 3x3 projections.
Images (N, H, W, C). Attribute names are timm's.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register
from fastconv.models.resnet import DEPTHS, Bottleneck, ResNet
from fastconv.models.shortcuts import shortcut_of

SENET = Architecture(
    name="SENet",
    title="Squeeze-and-Excitation Networks",
    authors="Hu, Shen, Albanie, Sun, Wu",
    year=2017,
    link="arXiv 1709.01507",
    introduced="channels weighted by what the whole image holds",
    descends_from=("ResNet", "ResNeXt"),
)

REDUCTION = 16


class SEBottleneck(Bottleneck):
    """ResNet's or ResNeXt's bottleneck, scaled per channel before the sum."""

    def __init__(self, in_channels, width, stride=1, stride_in_1x1=False, groups=1, base_width=64):
        super().__init__(
            in_channels,
            width,
            stride,
            stride_in_1x1=stride_in_1x1,
            groups=groups,
            base_width=base_width,
        )
        channels = width * self.expansion
        self.se = nn.SqueezeExcitation(channels, channels // REDUCTION)

    def forward(self, x):
        return scaled_residual(self, x)


class SENetBottleneck(nn.Module):
    """SENet-154's: 1x1 to 2 * width, 3x3 in 64 groups to 4 * width, 1x1 to 4 * width."""

    expansion = 4

    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, 2 * width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(2 * width, channels, 3, stride, 1, groups=64, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.se = nn.SqueezeExcitation(channels, channels // REDUCTION)
        self.shortcut, self.downsample = "B", None
        if stride > 1 or in_channels != channels:
            size, padding = (3, 1) if stride > 1 else (1, 0)
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, size, stride, padding, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x):
        return scaled_residual(self, x)


def scaled_residual(block, x):
    """relu(se(three convolutions of x) + shortcut)."""
    y = nn.conv_bn_act(x, block.conv1, block.bn1, "relu")
    y = nn.conv_bn_act(y, block.conv2, block.bn2, "relu")
    y = nn.conv_bn_act(y, block.conv3, block.bn3)
    return F.add_act(block.se(y), shortcut_of(block, x), "relu")


class SENet(ResNet):
    """ResNet with the authors' pooling, and dropout before the linear layer."""

    # timm's names of the authors' networks; their weights are on no hub, so that none are `weights`
    key_map = (
        (r"\.se_module\.", ".se."),
        (r"^last_linear\.", "fc."),
        (r"^layer0\.(conv1|bn1)\.", r"\1."),
    )

    def __init__(
        self, block, depths, num_classes=1000, in_channels=3, dropout=0.0, **block_options
    ):
        super().__init__(block, depths, num_classes, in_channels, **block_options)
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.dropout(self.flatten(x)))


class SENet154(SENet):
    """SENet with a stem of three convolutions."""

    key_map = (
        (r"^layer0\.conv1\.", "conv1.0."),
        (r"^layer0\.bn1\.", "conv1.1."),
        (r"^layer0\.conv2\.", "conv1.3."),
        (r"^layer0\.bn2\.", "conv1.4."),
        (r"^layer0\.conv3\.", "conv1.6."),
        (r"^layer0\.bn3\.", "bn1."),
        *SENet.key_map,
    )

    def __init__(self, num_classes=1000, in_channels=3, dropout=0.2):
        super().__init__(
            SENetBottleneck, DEPTHS[152], num_classes, in_channels, dropout, deep_stem=(64, 64, 128)
        )


def authors(top1, top5):
    """Accuracy of the authors' weights."""
    what = "ImageNet validation, centre crop 224"
    return Accuracy(top1, top5, what, "github.com/hujie-frank/SENet")


def timms(top1, top5, weights, side=224):
    """Accuracy that timm measured."""
    return Accuracy(top1, top5, f"ImageNet validation at {side}", f"timm, {weights}")


_CAFFE = "Hu et al. 2017, table 1; stride in the first 1x1, as the authors' code"


@register(
    SENET,
    params=28_088_024,
    macs=3_860_488_192,
    source=_CAFFE,
    accuracy=(authors(77.63, 93.64), timms(77.65, 93.732, "legacy_seresnet50.in1k")),
    aliases=("legacy_seresnet50",),
)
def seresnet50(num_classes=1000, in_channels=3):
    return SENet(SEBottleneck, DEPTHS[50], num_classes, in_channels, stride_in_1x1=True)


@register(
    SENET,
    params=49_326_872,
    macs=7_574_937_600,
    source=_CAFFE,
    accuracy=(authors(78.25, 94.28), timms(78.37, 94.264, "legacy_seresnet101.in1k")),
    aliases=("legacy_seresnet101",),
)
def seresnet101(num_classes=1000, in_channels=3):
    return SENet(SEBottleneck, DEPTHS[101], num_classes, in_channels, stride_in_1x1=True)


@register(
    SENET,
    params=66_821_848,
    macs=11_288_993_792,
    source=_CAFFE,
    accuracy=(authors(78.66, 94.46), timms(78.662, 94.37, "legacy_seresnet152.in1k")),
    aliases=("legacy_seresnet152",),
)
def seresnet152(num_classes=1000, in_channels=3):
    return SENet(SEBottleneck, DEPTHS[152], num_classes, in_channels, stride_in_1x1=True)


@register(
    SENET,
    params=28_088_024,
    macs=4_091_699_200,
    source="timm's seresnet50: stride in the 3x3, padded pooling",
    accuracy=(
        timms(81.288, 95.652, "seresnet50.ra2_in1k", 288),
        timms(81.114, 95.122, "seresnet50.a1_in1k", 288),
        timms(81.094, 95.23, "seresnet50.a2_in1k", 288),
    ),
    preprocessing=Preprocessing(resize=235, crop=224, interpolation="bicubic"),
    weights="timm/seresnet50.ra2_in1k",
)
def seresnet50_timm(num_classes=1000, in_channels=3):
    return ResNet(SEBottleneck, DEPTHS[50], num_classes, in_channels)


@register(
    SENET,
    params=27_559_896,
    macs=4_232_994_816,
    source="Hu et al. 2017, table 1",
    accuracy=(authors(79.03, 94.46), timms(79.08, 94.428, "legacy_seresnext50_32x4d.in1k")),
    aliases=("legacy_seresnext50_32x4d",),
)
def seresnext50_32x4d(num_classes=1000, in_channels=3):
    return SENet(SEBottleneck, DEPTHS[50], num_classes, in_channels, groups=32, base_width=4)


@register(
    SENET,
    params=115_088_984,
    macs=20_688_363_520,
    source="Hu et al. 2017, appendix: SENet-154",
    accuracy=(authors(81.32, 95.53), timms(81.32, 95.502, "legacy_senet154.in1k")),
    aliases=("legacy_senet154",),
)
def senet154(num_classes=1000, in_channels=3, dropout=0.2):
    return SENet154(num_classes, in_channels, dropout)
