"""MobileNet v2: inverted residuals. Sandler et al. 2018 (arXiv 1801.04381).

    y = bn(1x1(relu6(bn(3x3 depthwise(relu6(bn(1x1(x))))))))  + x where the shape stays

The shortcuts join the narrow maps, and no activation follows the layer that makes them. Images (N,
H, W, C), 224 x 224 in the paper. Attribute names and numbers are torchvision's.
"""

from fastconv import nn
from fastconv.models.blocks import FusedSequential, divisible
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

MOBILENET_V2 = Architecture(
    name="MobileNet v2",
    title="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    authors="Sandler, Howard, Zhu, Zhmoginov, Chen",
    year=2018,
    link="arXiv 1801.04381",
    introduced="inverted residuals: shortcuts between narrow, linear maps, wide depthwise between",
    descends_from=("MobileNet v1", "ResNet"),
)

# Sandler et al. 2018, table 2: expansion, output channels, repetitions, stride of the first
#  t  c    n  s
BLOCKS = (
    (1, 16,  1, 1),
    (6, 24,  2, 2),
    (6, 32,  3, 2),
    (6, 64,  4, 2),
    (6, 96,  3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


def conv_bn_relu6(in_channels, out_channels, size=1, stride=1, groups=1):
    """The three as one op."""
    return FusedSequential(
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """1x1 expand (not for expansion 1), 3x3 depthwise, 1x1 project without activation."""

    def __init__(self, in_channels, out_channels, stride, expansion):
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == out_channels
        self.conv = FusedSequential(
            *([conv_bn_relu6(in_channels, hidden)] if expansion != 1 else []),
            conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x):
        return self.conv(x, x if self.shortcut else None)


def timms_names():
    """(pattern, replacement) from timm's names (mobilenetv2_100, the same network) to ours."""
    places = [(s, b) for s, row in enumerate(BLOCKS) for b in range(row[2])]
    last = len(places) + 1
    yield r"^conv_stem\.", "features.0.0."
    yield r"^bn1\.", "features.0.1."
    yield r"^conv_head\.", f"features.{last}.0."
    yield r"^bn2\.", f"features.{last}.1."
    yield r"^classifier\.(weight|bias)$", r"classifier.1.\1"
    for i, (stage, block) in enumerate(places, 1):
        names = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
        ours = ("0.0", "0.1", "1.0", "1.1", "2", "3")
        if i == 1:  # it does not expand
            names, ours = ("conv_dw", "bn1", "conv_pw", "bn2"), ("0.0", "0.1", "1", "2")
        for name, number in zip(names, ours):
            yield rf"^blocks\.{stage}\.{block}\.{name}\.", f"features.{i}.conv.{number}."


class MobileNetV2(nn.Module):
    """Stem, 17 blocks, 1x1 to 1280 channels, global average pooling, dropout, one linear layer.

    width: factor of the channels, rounded to multiples of 8; the last 1280 never shrink.
    """

    key_map = tuple(timms_names())

    def __init__(self, width=1.0, dropout=0.2, num_classes=1000, in_channels=3):
        super().__init__()
        channels = divisible(32 * width)
        layers = [conv_bn_relu6(in_channels, channels, 3, 2)]
        for expansion, full, repetitions, first_stride in BLOCKS:
            for i in range(repetitions):
                stride = first_stride if i == 0 else 1
                layers.append(
                    InvertedResidual(channels, divisible(full * width), stride, expansion)
                )
                channels = divisible(full * width)
        last = divisible(1280 * max(1.0, width))
        layers.append(conv_bn_relu6(channels, last))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.GlobalAvgPool2d()
        self.classifier = nn.Sequential(nn.Dropout(dropout), classifier(last, num_classes))
        initialise(self)

    def forward_features(self, x):
        """The maps of the last convolution, (N, 7, 7, 1280) for 224 x 224."""
        return self.features(x)

    def forward(self, x):
        return self.classifier(self.avgpool(self.forward_features(x)))


def initialise(model):
    """As torchvision: convolutions by He's rule with the fan-out, linear N(0, 0.01), biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.he_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


@register(
    MOBILENET_V2,
    params=3_504_872,
    macs=300_774_272,
    source="Sandler et al. 2018, table 2; padding and epsilon as torchvision",
    preprocessing=Preprocessing(232, 224),
    accuracy=(
        Accuracy(71.8, 91.0, "ImageNet validation", "TF-slim, mobilenet README"),
        Accuracy(71.878, 90.286, "ImageNet validation, resize 256", "torchvision's IMAGENET1K_V1"),
        Accuracy(72.154, 90.822, "ImageNet validation, resize 232", "torchvision's IMAGENET1K_V2"),
    ),
    aliases=("mobilenetv2_100",),
)
def mobilenet_v2(num_classes=1000, in_channels=3, width=1.0, dropout=0.2):
    return MobileNetV2(width, dropout, num_classes, in_channels)
