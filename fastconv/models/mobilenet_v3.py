"""MobileNet v3: inverted residuals found by search, h-swish. Howard et al. 2019 (arXiv 1905.02244).

    y = bn(1x1(se(act(bn(depthwise(act(bn(1x1(x)))))))))  + x where the shape stays
    h-swish(x) = x * relu6(x + 3) / 6

Squeeze-and-excitation (se) of some blocks: ReLU inside, h-sigmoid as its gate. Images (N, H, W, C),
224 x 224 in the paper. Attribute names and numbers are torchvision's.

No `weights` and no `key_map`: timm's mobilenetv3_* have 1e-5 as batch norm's epsilon, its
tf_mobilenetv3_* pad as TensorFlow does.
"""

from fastconv import nn
from fastconv.models.blocks import FusedSequential, divisible
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.mobilenet_v2 import initialise
from fastconv.models.registry import register

MOBILENET_V3 = Architecture(
    name="MobileNet v3",
    title="Searching for MobileNetV3",
    authors="Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam",
    year=2019,
    link="arXiv 1905.02244",
    introduced="h-swish, and a head that computes its last layer behind the pooling",
    descends_from=("MobileNet v2", "MnasNet", "SENet"),
)

RE, HS = nn.ReLU, nn.Hardswish

# Howard et al. 2019, table 1
# window expanded out  SE     NL stride
LARGE = (
    (3,  16,      16,  False, RE, 1),
    (3,  64,      24,  False, RE, 2),
    (3,  72,      24,  False, RE, 1),
    (5,  72,      40,  True,  RE, 2),
    (5,  120,     40,  True,  RE, 1),
    (5,  120,     40,  True,  RE, 1),
    (3,  240,     80,  False, HS, 2),
    (3,  200,     80,  False, HS, 1),
    (3,  184,     80,  False, HS, 1),
    (3,  184,     80,  False, HS, 1),
    (3,  480,     112, True,  HS, 1),
    (3,  672,     112, True,  HS, 1),
    (5,  672,     160, True,  HS, 2),
    (5,  960,     160, True,  HS, 1),
    (5,  960,     160, True,  HS, 1),
)  # fmt: skip

# table 2
SMALL = (
    (3,  16,      16,  True,  RE, 2),
    (3,  72,      24,  False, RE, 2),
    (3,  88,      24,  False, RE, 1),
    (5,  96,      40,  True,  HS, 2),
    (5,  240,     40,  True,  HS, 1),
    (5,  240,     40,  True,  HS, 1),
    (5,  120,     48,  True,  HS, 1),
    (5,  144,     48,  True,  HS, 1),
    (5,  288,     96,  True,  HS, 2),
    (5,  576,     96,  True,  HS, 1),
    (5,  576,     96,  True,  HS, 1),
)  # fmt: skip


def conv_bn(in_channels, out_channels, size=1, stride=1, groups=1, nonlinearity=None):
    """Convolution, batch norm, and a nonlinearity unless None, as one op."""
    return FusedSequential(
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01),
        *([nonlinearity()] if nonlinearity else []),
    )


class InvertedResidual(nn.Module):
    """1x1 expand (unless nothing expands), depthwise, squeeze-and-excitation, 1x1 project."""

    def __init__(self, in_channels, size, expanded, out_channels, se, nonlinearity, stride):
        super().__init__()
        self.shortcut = stride == 1 and in_channels == out_channels
        layers = [conv_bn(expanded, expanded, size, stride, expanded, nonlinearity)]
        if expanded != in_channels:
            layers.insert(0, conv_bn(in_channels, expanded, nonlinearity=nonlinearity))
        if se:
            squeezed = divisible(expanded // 4)
            layers.append(nn.SqueezeExcitation(expanded, squeezed, gate="hardsigmoid"))
        self.block = FusedSequential(*layers, conv_bn(expanded, out_channels))

    def forward(self, x):
        return self.block(x, x if self.shortcut else None)


class MobileNetV3(nn.Module):
    """Stem, blocks, 1x1 to six times their channels, pooling, linear, h-swish, dropout, linear.

    head: units of the hidden linear layer; width: factor of all channels and of head, rounded to
    multiples of 8.
    """

    def __init__(self, blocks, head, width=1.0, dropout=0.2, num_classes=1000, in_channels=3):
        super().__init__()
        channels = divisible(16 * width)
        layers = [conv_bn(in_channels, channels, 3, 2, nonlinearity=HS)]
        for size, expanded, out, se, nonlinearity, stride in blocks:
            expanded, out = divisible(expanded * width), divisible(out * width)
            layers.append(InvertedResidual(channels, size, expanded, out, se, nonlinearity, stride))
            channels = out
        last, head = 6 * channels, divisible(head * width)
        layers.append(conv_bn(channels, last, nonlinearity=HS))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(last, head),
            nn.Hardswish(),
            nn.Dropout(dropout),
            classifier(head, num_classes),
        )
        initialise(self)

    def forward_features(self, x):
        """The maps of the last convolution, (N, 7, 7, 960) of the large network at 224 x 224."""
        return self.features(x)

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.classifier(self.flatten(x))


@register(
    MOBILENET_V3,
    params=5_483_032,
    macs=216_589_760,
    source="Howard et al. 2019, table 1, as torchvision",
    preprocessing=Preprocessing(232, 224),
    accuracy=(
        Accuracy(75.2, None, "ImageNet validation", "TF-slim, mobilenet README"),
        Accuracy(74.042, 91.34, "ImageNet validation, resize 256", "torchvision's IMAGENET1K_V1"),
        Accuracy(75.274, 92.566, "ImageNet validation, resize 232", "torchvision's IMAGENET1K_V2"),
    ),
)
def mobilenet_v3_large(num_classes=1000, in_channels=3, width=1.0, dropout=0.2):
    return MobileNetV3(LARGE, 1280, width, dropout, num_classes, in_channels)


@register(
    MOBILENET_V3,
    params=2_542_856,
    macs=56_510_400,
    source="Howard et al. 2019, table 2, as torchvision",
    accuracy=(
        Accuracy(67.5, None, "ImageNet validation", "TF-slim, mobilenet README"),
        Accuracy(67.668, 87.402, "ImageNet validation, one crop", "torchvision's IMAGENET1K_V1"),
    ),
)
def mobilenet_v3_small(num_classes=1000, in_channels=3, width=1.0, dropout=0.2):
    return MobileNetV3(SMALL, 1024, width, dropout, num_classes, in_channels)
