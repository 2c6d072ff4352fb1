"""ShuffleNet v2: half of the channels pass a unit untouched. Ma et al. 2018 (arXiv 1807.11164).

    a, b = halves of x                y = shuffle([a, F(b)])          stride 1
                                      y = shuffle([G(x), F(x)])       stride 2
    F: 1x1, 3x3 depthwise, 1x1        G: 3x3 depthwise, 1x1

Every convolution has batch norm, the 1x1 ones ReLU too.
Images (N, H, W, C), 224 x 224 in the paper. Attribute names and numbers are torchvision's.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.blocks import FusedSequential
from fastconv.models.head import classifier
from fastconv.models.info import IMAGENET, Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

SHUFFLENET_V2 = Architecture(
    name="ShuffleNet v2",
    title="ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
    authors="Ma, Zhang, Zheng, Sun",
    year=2018,
    link="arXiv 1807.11164",
    introduced="designed for measured speed: channel split and equal widths instead of groups",
    descends_from=("ShuffleNet v1", "DenseNet"),
)


def conv_bn_relu(in_channels, out_channels, size=1, stride=1):
    """Three layers; with those of depthwise_bn they make up a branch."""
    return (
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def depthwise_bn(channels, stride):
    """3x3 depthwise convolution and batch norm, no activation."""
    return nn.DepthwiseConv2d(channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)


class Unit(nn.Module):
    """Figure 3 (c), with stride 2 figure 3 (d): (N, H, W, C) -> (N, H/s, W/s, out_channels)."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        half = out_channels // 2
        self.branch1 = None
        if stride == 2:
            self.branch1 = FusedSequential(
                *depthwise_bn(in_channels, stride), *conv_bn_relu(in_channels, half)
            )
        self.branch2 = FusedSequential(
            *conv_bn_relu(in_channels if stride == 2 else half, half),
            *depthwise_bn(half, stride),
            *conv_bn_relu(half, half),
        )

    def forward(self, x):
        if self.branch1 is None:
            kept, x = F.split(x, 2, axis=-1)
        else:
            kept = self.branch1(x)
        return F.channel_shuffle(F.concat([kept, self.branch2(x)], axis=-1), 2)


class ShuffleNetV2(nn.Module):
    """Stem, three stages of units, 1x1 convolution, global average pooling, one linear layer.

    channels: of stages 2 to 4; last: of the 1x1 convolution. Starts with PyTorch's distributions.
    """

    def __init__(self, channels, last, num_classes=1000, in_channels=3):
        super().__init__()
        self.conv1 = FusedSequential(*conv_bn_relu(in_channels, 24, 3, 2))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = 24
        for i, (width, repetitions) in enumerate(zip(channels, (4, 8, 4))):
            units = [
                Unit(before, width, 2),
                *(Unit(width, width, 1) for _ in range(repetitions - 1)),
            ]
            setattr(self, f"stage{i + 2}", nn.Sequential(*units))
            before = width
        self.conv5 = FusedSequential(*conv_bn_relu(before, last))
        self.avgpool = nn.GlobalAvgPool2d()
        self.fc = classifier(last, num_classes)

    def forward_features(self, x):
        """The maps of the last convolution, (N, 7, 7, last) for 224 x 224."""
        x = self.maxpool(self.conv1(x))
        return self.conv5(self.stage4(self.stage3(self.stage2(x))))

    def forward(self, x):
        return self.fc(self.avgpool(self.forward_features(x)))


# Ma et al. 2018, table 5
# width     stage2 stage3 stage4   conv5
WIDTHS = {
    "x0_5": ((48,  96,    192),    1024),
    "x1_0": ((116, 232,   464),    1024),
    "x1_5": ((176, 352,   704),    1024),
    "x2_0": ((244, 488,   976),    2048),
}  # fmt: skip


def _entry(params, macs, top1, top5, preprocessing=IMAGENET):
    what, weights = "ImageNet validation, one crop", "torchvision's IMAGENET1K_V1"
    return register(
        SHUFFLENET_V2,
        params=params,
        macs=macs,
        source="Ma et al. 2018, table 5, as torchvision",
        preprocessing=preprocessing,
        accuracy=(Accuracy(top1, top5, what, weights),),
    )


@_entry(1_366_792, 40_476_448, 60.552, 81.746)
def shufflenet_v2_x0_5(num_classes=1000, in_channels=3):
    return ShuffleNetV2(*WIDTHS["x0_5"], num_classes, in_channels)


@_entry(2_278_604, 144_907_992, 69.362, 88.316)
def shufflenet_v2_x1_0(num_classes=1000, in_channels=3):
    return ShuffleNetV2(*WIDTHS["x1_0"], num_classes, in_channels)


@_entry(3_503_624, 295_759_392, 72.996, 91.086, Preprocessing(232, 224))
def shufflenet_v2_x1_5(num_classes=1000, in_channels=3):
    return ShuffleNetV2(*WIDTHS["x1_5"], num_classes, in_channels)


@_entry(7_393_996, 583_253_464, 76.23, 93.006, Preprocessing(232, 224))
def shufflenet_v2_x2_0(num_classes=1000, in_channels=3):
    return ShuffleNetV2(*WIDTHS["x2_0"], num_classes, in_channels)
