"""MobileNet v1: depthwise separable convolutions. Howard et al. 2017 (arXiv 1704.04861).

    y = relu6(bn(1x1(relu6(bn(3x3 depthwise(x))))))

alpha (the width multiplier) thins every layer, the resolution of the image is free.
Images (N, H, W, C), 224 x 224 in the paper. Attribute names are timm's (mobilenetv1_100), as are
epsilon 1e-5 and padding 1 on all sides; Keras has 1e-3 and pads layers of stride 2 below and to the
right only: the same shapes, other values.
"""

from math import sqrt

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

MOBILENET_V1 = Architecture(
    name="MobileNet v1",
    title="MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    authors="Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam",
    year=2017,
    link="arXiv 1704.04861",
    introduced="depthwise separable convolutions throughout, thinned by one width multiplier",
    descends_from=("Xception", "BN-Inception"),
)

TIMM = Preprocessing(256, 224, "bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

# Howard et al. 2017, table 1, by size of the map
# channels layers stride of the first
STAGES = (
    (64,   1, 1),
    (128,  2, 2),
    (256,  2, 2),
    (512,  6, 2),
    (1024, 2, 2),
)  # fmt: skip


class DepthwiseSeparable(nn.Module):
    """3x3 depthwise, then 1x1, each with batch norm and ReLU6 (figure 3)."""

    def __init__(self, in_channels, out_channels, stride, depth_multiplier):
        super().__init__()
        self.conv_dw = nn.DepthwiseConv2d(
            in_channels, 3, stride, 1, multiplier=depth_multiplier, bias=False
        )
        self.bn1 = nn.BatchNorm2d(in_channels * depth_multiplier)
        self.conv_pw = nn.Conv2d(in_channels * depth_multiplier, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = nn.conv_bn_act(x, self.conv_dw, self.bn1, "relu6")
        return nn.conv_bn_act(x, self.conv_pw, self.bn2, "relu6")


class MobileNetV1(nn.Module):
    """Stem, 13 separable convolutions, global average pooling, one linear layer.

    alpha: factor of every layer's channels, rounded down; depth_multiplier: depthwise filters per
    channel; dropout: before the classifier (Keras: 0.001).
    """

    def __init__(self, alpha=1.0, depth_multiplier=1, dropout=0.0, num_classes=1000, in_channels=3):
        super().__init__()
        channels = int(32 * alpha)
        self.conv_stem = nn.Conv2d(in_channels, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        for full, layers, first_stride in STAGES:
            width = int(full * alpha)
            stage = []
            for i in range(layers):
                stride = first_stride if i == 0 else 1
                stage.append(DepthwiseSeparable(channels, width, stride, depth_multiplier))
                channels = width
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.global_pool = nn.GlobalAvgPool2d()
        self.drop = nn.Dropout(dropout)
        self.classifier = classifier(channels, num_classes)
        initialise(self)

    def forward_features(self, x):
        """The maps of the last layer, (N, 7, 7, 1024 * alpha) for 224 x 224."""
        return self.blocks(nn.conv_bn_act(x, self.conv_stem, self.bn1, "relu6"))

    def forward(self, x):
        return self.classifier(self.drop(self.global_pool(self.forward_features(x))))


def initialise(model):
    """As TensorFlow's MnasNet and EfficientNet: He's rule with a filter's own fan-out, biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = nn.init.fans(module.weight)[1] / module.groups
            nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
        elif isinstance(module, nn.Linear):
            bound = 1 / sqrt(module.out_features)
            nn.init.uniform_(module.weight, -bound, bound)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


_SOURCE = "Howard et al. 2017, table 1; padding and epsilon as timm"


@register(
    MOBILENET_V1,
    params=4_231_976,
    macs=568_740_352,
    source=_SOURCE,
    preprocessing=TIMM,
    accuracy=(
        Accuracy(70.9, 89.9, "ImageNet validation (the paper: 70.6)", "TF-slim, mobilenet_v1.md"),
        Accuracy(75.388, 92.31, "ImageNet validation at 224", "timm's table, ra4_e3600_r224_in1k"),
        Accuracy(76.088, 93.006, "ImageNet validation at 256", "timm's table, the same weights"),
    ),
    weights="timm/mobilenetv1_100.ra4_e3600_r224_in1k",
    aliases=("mobilenetv1_100",),
)
def mobilenet_v1(num_classes=1000, in_channels=3, alpha=1.0, depth_multiplier=1, dropout=0.0):
    return MobileNetV1(alpha, depth_multiplier, dropout, num_classes, in_channels)


@register(MOBILENET_V1, params=470_072, macs=41_030_272, source=_SOURCE, preprocessing=TIMM)
def mobilenet_v1_025(num_classes=1000, in_channels=3, depth_multiplier=1, dropout=0.0):
    return MobileNetV1(0.25, depth_multiplier, dropout, num_classes, in_channels)


@register(MOBILENET_V1, params=1_331_592, macs=149_497_088, source=_SOURCE, preprocessing=TIMM)
def mobilenet_v1_050(num_classes=1000, in_channels=3, depth_multiplier=1, dropout=0.0):
    return MobileNetV1(0.5, depth_multiplier, dropout, num_classes, in_channels)


@register(MOBILENET_V1, params=2_585_560, macs=325_400_448, source=_SOURCE, preprocessing=TIMM)
def mobilenet_v1_075(num_classes=1000, in_channels=3, depth_multiplier=1, dropout=0.0):
    return MobileNetV1(0.75, depth_multiplier, dropout, num_classes, in_channels)
