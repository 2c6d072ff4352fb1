"""ShuffleNet v1: grouped 1x1 convolutions and a shuffle. Zhang et al. 2017 (arXiv 1707.01083).

    F(x) = bn(1x1 grouped(bn(3x3 depthwise(shuffle(relu(bn(1x1 grouped(x))))))))
    y = relu(F(x) + x)                                stride 1
    y = [3x3 average pooling(x), relu(F(x))]          stride 2

The shuffle deals the channels of each group out to all groups. Entries *_megvii are the authors'
published code: it shuffles behind the depthwise convolution and by the inverse permutation, has no
bias in the classifier, and scales the stem, about which the paper says nothing (only with it do the
printed complexities of 0.5x and 2x come out). Images (N, H, W, C), 224 x 224 in the paper.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.blocks import FusedSequential
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register

SHUFFLENET_V1 = Architecture(
    name="ShuffleNet v1",
    title="ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
    authors="Zhang, Zhou, Lin, Sun",
    year=2017,
    link="arXiv 1707.01083",
    introduced="grouped 1x1 convolutions, mixed by shuffling channels",
    descends_from=("ResNeXt", "Xception"),
)

# Zhang et al. 2017, table 1: output channels of stage 2 by groups; the next stages double them
# g:      1    2    3    4    8
STAGE2 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
REPETITIONS = (4, 8, 4)


class Unit(nn.Module):
    """Figure 2 (b), with stride 2 figure 2 (c); the bottleneck has a quarter of the channels.

    first_groups: of the first 1x1; the one that reads the stem is not grouped.
    """

    def __init__(self, in_channels, out_channels, stride, groups, first_groups, megvii):
        super().__init__()
        middle = out_channels // 4
        grown = out_channels - in_channels if stride == 2 else out_channels
        self.groups, self.megvii = groups, megvii
        self.conv1 = nn.Conv2d(in_channels, middle, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.DepthwiseConv2d(middle, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, grown, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(grown)
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else None

    def forward(self, x):
        y = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        if not self.megvii:
            y = F.channel_shuffle(y, self.groups)
        y = nn.conv_bn_act(y, self.conv2, self.bn2)
        if self.megvii:
            y = F.channel_shuffle(y, y.shape[-1] // self.groups)  # the inverse
        if self.pool is None:
            return nn.conv_bn_act(y, self.conv3, self.bn3, "relu", residual=x)
        # the average of what a ReLU gave is its own ReLU: it need not run over the concatenation
        y = nn.conv_bn_act(y, self.conv3, self.bn3, "relu")
        return F.concat([self.pool(x), y], axis=-1)


class ShuffleNetV1(nn.Module):
    """Stem, three stages of units, global average pooling, one linear layer.

    groups: of the 1x1 convolutions; scale: factor of the stages' channels; stem: channels of the
    first convolution; megvii: as the authors' code, not as the paper.
    """

    def __init__(self, groups, scale=1.0, stem=24, megvii=False, num_classes=1000, in_channels=3):
        super().__init__()
        self.conv1 = FusedSequential(
            nn.Conv2d(in_channels, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = stem
        for i, repetitions in enumerate(REPETITIONS):
            width = int(STAGE2[groups] * scale) * 2**i
            units = []
            for j in range(repetitions):
                first_groups = 1 if i == j == 0 else groups
                stride = 2 if j == 0 else 1
                units.append(Unit(channels, width, stride, groups, first_groups, megvii))
                channels = width
            setattr(self, f"stage{i + 2}", nn.Sequential(*units))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes, not megvii) if num_classes else nn.Identity()
        self.initialise()

    def initialise(self):
        """Convolutions by He's rule with the fan-out, as ResNeXt: the paper trains like it."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight, mode="fan_out")

    def forward_features(self, x):
        """The maps of the last stage, (N, 7, 7, C) for 224 x 224."""
        x = self.maxpool(self.conv1(x))
        return self.stage4(self.stage3(self.stage2(x)))

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.flatten(x))


_TABLE_1 = "Zhang et al. 2017, table 1"
_SCALED = "Zhang et al. 2017, table 2; the stem keeps its 24 channels"


def _megvii(params, macs, error1, error5):
    what, readme = "ImageNet validation", "README of the authors' code (ShuffleNet-Series)"
    return register(
        SHUFFLENET_V1,
        params=params,
        macs=macs,
        source="the authors' code (megvii-model/ShuffleNet-Series)",
        accuracy=(Accuracy(round(100 - error1, 1), round(100 - error5, 1), what, readme),),
    )


@register(SHUFFLENET_V1, params=1_531_936, macs=143_078_976, source=_TABLE_1)
def shufflenet_v1_g1(num_classes=1000, in_channels=3):
    return ShuffleNetV1(1, num_classes=num_classes, in_channels=in_channels)


@register(SHUFFLENET_V1, params=1_733_848, macs=140_836_512, source=_TABLE_1)
def shufflenet_v1_g2(num_classes=1000, in_channels=3):
    return ShuffleNetV1(2, num_classes=num_classes, in_channels=in_channels)


@register(SHUFFLENET_V1, params=1_865_728, macs=137_460_672, source=_TABLE_1)
def shufflenet_v1_g3(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, num_classes=num_classes, in_channels=in_channels)


@register(SHUFFLENET_V1, params=1_968_344, macs=134_339_776, source=_TABLE_1)
def shufflenet_v1_g4(num_classes=1000, in_channels=3):
    return ShuffleNetV1(4, num_classes=num_classes, in_channels=in_channels)


@register(SHUFFLENET_V1, params=2_434_768, macs=138_365_952, source=_TABLE_1)
def shufflenet_v1_g8(num_classes=1000, in_channels=3):
    return ShuffleNetV1(8, num_classes=num_classes, in_channels=in_channels)


@register(SHUFFLENET_V1, params=306_568, macs=17_882_352, source=_SCALED)
def shufflenet_v1_g3_x0_25(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 0.25, 24, False, num_classes, in_channels)


@register(SHUFFLENET_V1, params=718_888, macs=42_688_992, source=_SCALED)
def shufflenet_v1_g3_x0_5(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 0.5, 24, False, num_classes, in_channels)


@register(SHUFFLENET_V1, params=3_442_168, macs=292_443_552, source=_SCALED)
def shufflenet_v1_g3_x1_5(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 1.5, 24, False, num_classes, in_channels)


@register(SHUFFLENET_V1, params=5_448_208, macs=507_637_632, source=_SCALED)
def shufflenet_v1_g3_x2_0(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 2.0, 24, False, num_classes, in_channels)


@_megvii(717_324, 37_589_856, 42.7, 20.0)
def shufflenet_v1_g3_x0_5_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 0.5, 12, True, num_classes, in_channels)


@_megvii(1_864_728, 137_460_672, 32.2, 12.3)
def shufflenet_v1_g3_x1_0_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 1.0, 24, True, num_classes, in_channels)


@_megvii(3_441_168, 292_443_552, 28.4, 9.8)
def shufflenet_v1_g3_x1_5_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 1.5, 24, True, num_classes, in_channels)


@_megvii(5_449_776, 524_045_184, 25.9, 8.6)
def shufflenet_v1_g3_x2_0_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(3, 2.0, 48, True, num_classes, in_channels)


@_megvii(1_010_448, 40_469_760, 41.2, 19.0)
def shufflenet_v1_g8_x0_5_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(8, 0.5, 16, True, num_classes, in_channels)


@_megvii(2_433_768, 138_365_952, 32.0, 13.6)
def shufflenet_v1_g8_x1_0_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(8, 1.0, 24, True, num_classes, in_channels)


@_megvii(4_268_952, 290_188_800, 29.0, 10.4)
def shufflenet_v1_g8_x1_5_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(8, 1.5, 24, True, num_classes, in_channels)


@_megvii(6_521_232, 521_942_016, 27.1, 9.2)
def shufflenet_v1_g8_x2_0_megvii(num_classes=1000, in_channels=3):
    return ShuffleNetV1(8, 2.0, 48, True, num_classes, in_channels)
