"""Xception: Inception modules at their extreme. Chollet 2016 (arXiv 1610.02357).

    sep(x) = bn(1x1(3x3 depthwise(x)))                          nothing between the two convolutions
    y = sep(relu(sep(relu(sep(relu(x)))))) + x                  middle flow
    y = maxpool(sep(relu(sep(relu(x))))) + bn(1x1(x))           where the map halves

Images (N, H, W, C), 299 x 299 in the paper. Attribute names are timm's (legacy_xception), as are
epsilon 1e-5 and poolings padded by 1 on all sides; Keras has 1e-3 and pads the pooling of 74 x 74
below and to the right only: the same shapes, other values.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

XCEPTION = Architecture(
    name="Xception",
    title="Xception: Deep Learning with Depthwise Separable Convolutions",
    authors="Chollet",
    year=2016,
    link="arXiv 1610.02357",
    introduced="depthwise separable convolutions in place of Inception modules",
    descends_from=("Inception-v3", "ResNet"),
)

# Chollet 2016, figure 5
# block output separable convolutions (their channels) stride
BLOCKS = (
    (128,  128, 2),
    (256,  256, 2),
    (728,  728, 2),
    *[(728, 728, 728, 1)] * 8,
    (728, 1024, 2),
)  # fmt: skip


class Separable(nn.Module):
    """bn(1x1(3x3 depthwise(x))) with an activation and a sum behind; bn belongs to the caller."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv1 = nn.DepthwiseConv2d(in_channels, 3, 1, 1, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x, bn, act=None, residual=None):
        return nn.conv_bn_act(self.conv1(x), self.pointwise, bn, act, residual)


class Block(nn.Module):
    """Separable convolutions, each behind a ReLU, and a shortcut.

    channels: of their outputs. relu_first: not so in the first block, whose input had its ReLU.
    rep holds the layers in timm's numbering, in which the ReLUs count.
    """

    def __init__(self, in_channels, channels, stride, relu_first):
        super().__init__()
        self.skip = self.skipbn = None
        if stride != 1 or channels[-1] != in_channels:
            self.skip = nn.Conv2d(in_channels, channels[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(channels[-1])
        layers = []
        for width in channels:
            layers += [nn.ReLU(), Separable(in_channels, width), nn.BatchNorm2d(width)]
            in_channels = width
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*(layers if relu_first else layers[1:]))
        self.relu_first = relu_first

    def forward(self, x):
        y = F.relu(x) if self.relu_first else x
        pairs = [m for m in self.rep if isinstance(m, Separable | nn.BatchNorm2d)]
        *inner, (separable, bn) = zip(pairs[::2], pairs[1::2])
        for s, b in inner:
            y = s(y, b, "relu")  # the ReLU in front of the next
        if self.skip is None:
            return separable(y, bn, residual=x)
        y = self.rep[-1](separable(y, bn))
        return nn.conv_bn_act(x, self.skip, self.skipbn, residual=y)


class Xception(nn.Module):
    """Two convolutions, twelve blocks, two separable convolutions, pooling, one linear layer.

    blocks: rows of BLOCKS. dropout: before the linear layer; the paper's own training on ImageNet
    had 0.5, published weights have none.
    """

    def __init__(self, blocks, dropout=0.0, num_classes=1000, in_channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        before, self.depth = 64, len(blocks)
        for i, (*channels, stride) in enumerate(blocks, 1):
            setattr(self, f"block{i}", Block(before, channels, stride, relu_first=i > 1))
            before = channels[-1]
        self.conv3 = Separable(before, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = Separable(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.global_pool = nn.GlobalAvgPool2d()
        self.drop = nn.Dropout(dropout)
        self.fc = classifier(2048, num_classes)
        self.initialise()

    def initialise(self):
        """As timm: convolutions by He's rule with the fan-out."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight, mode="fan_out")

    def forward_features(self, x):
        """The maps of the last convolution, (N, 10, 10, 2048) for 299 x 299."""
        x = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        x = nn.conv_bn_act(x, self.conv2, self.bn2, "relu")
        for i in range(self.depth):
            x = getattr(self, f"block{i + 1}")(x)
        x = self.conv3(x, self.bn3, "relu")
        return self.conv4(x, self.bn4, "relu")

    def forward(self, x):
        return self.fc(self.drop(self.global_pool(self.forward_features(x))))


@register(
    XCEPTION,
    params=22_855_952,
    macs=8_357_403_496,
    input_shape=(299, 299, 3),
    source="Chollet 2016, figure 5; padding and epsilon as timm (legacy_xception)",
    preprocessing=Preprocessing(333, 299, "bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    accuracy=(
        Accuracy(79.0, 94.5, "ImageNet validation at 299", "Keras' weights, README of Cadene"),
        Accuracy(79.058, 94.396, "ImageNet validation at 299", "timm's table, legacy_xception"),
    ),
    aliases=("legacy_xception",),
)
def xception(num_classes=1000, in_channels=3, dropout=0.0):
    return Xception(BLOCKS, dropout, num_classes, in_channels)
