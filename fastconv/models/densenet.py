"""DenseNet: a layer reads the maps of all layers before it. Huang et al. 2016 (arXiv 1608.06993).

    x_l = H_l([x_0, x_1, ..., x_{l-1}])     [...]: concatenation of channels; H_l gives k of them
    H = BN-ReLU-3x3(k), or with bottleneck (B) BN-ReLU-1x1(4k)-BN-ReLU-3x3(k)

Between two blocks BN-ReLU-1x1 and 2x2 average pooling; compression (C) halves the channels there.
Images (N, H, W, C), 224 x 224, in the CIFAR networks 32 x 32. Attribute names are torchvision's.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register

DENSENET = Architecture(
    name="DenseNet",
    title="Densely Connected Convolutional Networks",
    authors="Huang, Liu, van der Maaten, Weinberger",
    year=2016,
    link="arXiv 1608.06993",
    introduced="each layer is fed the maps of all layers before it and adds a few of its own",
    descends_from=("ResNet",),
)


class DenseLayer(nn.Module):
    """H: (N, H, W, in_channels) -> (N, H, W, growth). Dropout stands behind each convolution."""

    def __init__(self, in_channels, growth, bottleneck, dropout):
        super().__init__()
        self.bottleneck = bottleneck
        self.norm1 = nn.BatchNorm2d(in_channels)
        if bottleneck:
            self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(4 * growth)
            self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(in_channels, growth, 3, 1, 1, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        y = self.norm1(x, "relu")
        if not self.bottleneck:
            return self.drop(self.conv1(y))
        if self.drop.p:  # between convolution and batch norm: nothing to fuse
            y = self.norm2(self.drop(self.conv1(y)), "relu")
        else:
            y = nn.conv_bn_act(y, self.conv1, self.norm2, "relu")
        return self.drop(self.conv2(y))


class DenseBlock(nn.Module):
    """depth layers; what goes in comes out with depth * growth channels behind it."""

    def __init__(self, depth, in_channels, growth, bottleneck, dropout):
        super().__init__()
        for i in range(depth):
            layer = DenseLayer(in_channels + i * growth, growth, bottleneck, dropout)
            setattr(self, f"denselayer{i + 1}", layer)

    def forward(self, x):
        for layer in self.children():
            x = F.concat([x, layer(x)], axis=-1)
        return x


class Transition(nn.Module):
    """BN-ReLU-1x1, 2x2 average pooling: (N, H, W, C) -> (N, H/2, W/2, out_channels)."""

    def __init__(self, in_channels, out_channels, dropout):
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.drop = nn.Dropout(dropout)
        self.pool = nn.AvgPool2d(2, 2)

    def forward(self, x):
        return self.pool(self.drop(self.conv(self.norm(x, "relu"))))


class Features(nn.Module):
    """Stem, dense blocks with transitions between them, a last batch norm.

    stem: "imagenet" is 7x7 with stride 2, batch norm, ReLU, max pooling; "cifar" 3x3 alone.
    """

    def __init__(self, stem, in_channels, channels, depths, growth, bc, dropout):
        super().__init__()
        if stem == "imagenet":
            self.conv0 = nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False)
            self.norm0 = nn.BatchNorm2d(channels)
            self.pool0 = nn.MaxPool2d(3, 2, 1)
        else:
            self.conv0 = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        self.stem = stem
        self.blocks = []  # names
        for i, depth in enumerate(depths, 1):
            setattr(self, f"denseblock{i}", DenseBlock(depth, channels, growth, bc, dropout))
            self.blocks.append(f"denseblock{i}")
            channels += depth * growth
            if i < len(depths):
                out_channels = channels // 2 if bc else channels
                setattr(self, f"transition{i}", Transition(channels, out_channels, dropout))
                self.blocks.append(f"transition{i}")
                channels = out_channels
        self.last = f"norm{len(depths) + 1}"
        setattr(self, self.last, nn.BatchNorm2d(channels))
        self.channels = channels

    def forward(self, x):
        if self.stem == "imagenet":
            x = self.pool0(nn.conv_bn_act(x, self.conv0, self.norm0, "relu"))
        else:
            x = self.conv0(x)
        for name in [*self.blocks, self.last]:
            x = getattr(self, name)(x)
        return x


class DenseNet(nn.Module):
    """Features, ReLU, global average pooling, one linear layer.

    channels: of the stem; growth: the paper's k; bc: bottleneck layers and compression by 2;
    dropout: probability behind every convolution but the first (0.2 where the paper trains on CIFAR
    without augmentation).
    """

    def __init__(
        self,
        stem,
        depths,
        growth,
        channels,
        num_classes=1000,
        in_channels=3,
        dropout=0.0,
        bc=True,
    ):
        super().__init__()
        self.features = Features(stem, in_channels, channels, depths, growth, bc, dropout)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = classifier(self.features.channels, num_classes)
        self.initialise()

    def initialise(self):
        """Convolutions by He's rule, as the authors'; biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps of all layers of the last block, (N, 7, 7, C) for 224 x 224."""
        return F.relu(self.features(x))

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.classifier(self.flatten(x))


# Huang et al. 2016, table 1: layers of each dense block, growth rate, channels of the stem
# depth  block 1 2   3   4    k   2k
IMAGENET_DEPTHS = {
    121: ((6,   12, 24, 16), 32, 64),
    169: ((6,   12, 32, 32), 32, 64),
    201: ((6,   12, 48, 32), 32, 64),
    264: ((6,   12, 64, 48), 32, 64),
    161: ((6,   12, 36, 24), 48, 96),
}  # fmt: skip


def _imagenet(depth, num_classes, in_channels, dropout):
    depths, growth, channels = IMAGENET_DEPTHS[depth]
    return DenseNet("imagenet", depths, growth, channels, num_classes, in_channels, dropout)


def _cifar(depth, growth, bc, num_classes, in_channels, dropout):
    """Three equal blocks; without bottleneck a layer is one convolution, with it two."""
    depths = ((depth - 4) // (6 if bc else 3),) * 3
    channels = 2 * growth if bc else 16
    return DenseNet("cifar", depths, growth, channels, num_classes, in_channels, dropout, bc)


_TABLE_1 = "Huang et al. 2016, table 1, as torchvision"
_README = "README of the authors' code (liuzhuang13/DenseNet)"


def _reached(error, top1, top5):
    """The authors' error, and torchvision's weights."""
    return (
        Accuracy(100 - error, None, "ImageNet validation, one crop", _README),
        Accuracy(top1, top5, "ImageNet validation, one crop", "torchvision's IMAGENET1K_V1"),
    )


def _reached_on_cifar(error, augmented, classes=10):
    """Without and with augmentation by flips and shifts."""
    figures = ((error, ""), (augmented, ", trained with flips and shifts"))
    return tuple(
        Accuracy(round(100 - e, 2), None, f"CIFAR-{classes} test set{how}", _README)
        for e, how in figures
        if e is not None
    )


def _cifar_entry(params, macs, accuracy):
    return register(
        DENSENET,
        params=params,
        macs=macs,
        source="Huang et al. 2016, section 4.2 and table 2",
        input_shape=(32, 32, 3),
        accuracy=accuracy,
        preprocessing=None,
    )


@register(
    DENSENET,
    params=7_978_856,
    macs=2_834_161_664,
    source=_TABLE_1,
    accuracy=_reached(25.0, 74.434, 91.972),
    weights="timm/densenet121.tv_in1k",
)
def densenet121(num_classes=1000, in_channels=3, dropout=0.0):
    return _imagenet(121, num_classes, in_channels, dropout)


@register(
    DENSENET,
    params=28_681_000,
    macs=7_727_907_072,
    source="Huang et al. 2016, section 4.4 (k = 48), as torchvision",
    accuracy=_reached(22.2, 77.138, 93.56),
    weights="timm/densenet161.tv_in1k",
)
def densenet161(num_classes=1000, in_channels=3, dropout=0.0):
    return _imagenet(161, num_classes, in_channels, dropout)


@register(
    DENSENET,
    params=14_149_480,
    macs=3_359_843_328,
    source=_TABLE_1,
    accuracy=_reached(23.6, 75.6, 92.806),
    weights="timm/densenet169.tv_in1k",
)
def densenet169(num_classes=1000, in_channels=3, dropout=0.0):
    return _imagenet(169, num_classes, in_channels, dropout)


@register(
    DENSENET,
    params=20_013_928,
    macs=4_291_365_888,
    source=_TABLE_1,
    accuracy=_reached(22.5, 76.896, 93.37),
    weights="timm/densenet201.tv_in1k",
)
def densenet201(num_classes=1000, in_channels=3, dropout=0.0):
    return _imagenet(201, num_classes, in_channels, dropout)


@register(
    DENSENET,
    params=33_337_704,
    macs=5_751_653_376,
    source="Huang et al. 2016, table 1",
    accuracy=(Accuracy(77.9, None, "ImageNet validation, one crop", _README),),
)
def densenet264(num_classes=1000, in_channels=3, dropout=0.0):
    return _imagenet(264, num_classes, in_channels, dropout)


@_cifar_entry(1_019_722, 264_812_928, _reached_on_cifar(7.0, 5.24))
def densenet_40_12_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return _cifar(40, 12, False, num_classes, in_channels, dropout)


@_cifar_entry(6_979_642, 1_769_516_448, _reached_on_cifar(5.77, 4.1))
def densenet_100_12_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return _cifar(100, 12, False, num_classes, in_channels, dropout)


@_cifar_entry(27_249_082, 6_889_347_744, _reached_on_cifar(5.83, 3.74))
def densenet_100_24_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return _cifar(100, 24, False, num_classes, in_channels, dropout)


@_cifar_entry(769_162, 287_929_692, _reached_on_cifar(5.92, 4.51))
def densenet_bc_100_12_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return _cifar(100, 12, True, num_classes, in_channels, dropout)


@_cifar_entry(800_032, 287_960_472, _reached_on_cifar(24.15, 22.27, classes=100))
def densenet_bc_100_12_cifar100(num_classes=100, in_channels=3, dropout=0.0):
    return _cifar(100, 12, True, num_classes, in_channels, dropout)


@_cifar_entry(15_324_406, 5_418_785_724, _reached_on_cifar(5.19, 3.62))
def densenet_bc_250_24_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return _cifar(250, 24, True, num_classes, in_channels, dropout)


@_cifar_entry(25_624_430, 9_301_945_740, _reached_on_cifar(None, 3.46))
def densenet_bc_190_40_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return _cifar(190, 40, True, num_classes, in_channels, dropout)
