"""VGG: 11 to 19 layers of 3x3 convolutions. Simonyan and Zisserman 2014 (arXiv 1409.1556).

Images (N, H, W, C), 224 x 224 in the paper. The _bn variants keep the convolutions' biases, as
torchvision does. Attribute names, numbers inside `features` and `classifier` are torchvision's.
"""

from fastconv import nn
from fastconv.models.blocks import FusedSequential
from fastconv.models.head import classifier
from fastconv.models.info import Architecture
from fastconv.models.registry import register

VGG_NETS = Architecture(
    name="VGG",
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    authors="Simonyan, Zisserman",
    year=2014,
    link="arXiv 1409.1556",
    introduced="nothing but 3x3 windows, 11 to 19 layers deep",
    descends_from=("AlexNet",),
)

# Simonyan and Zisserman 2014, table 1: channels of the 3x3 convolutions of each block; a 2x2 max
# pooling ends a block
# layers  conv1     conv2       conv3       conv4       conv5         column
BLOCKS = {
    11: ((64,),    (128,),     (256,) * 2, (512,) * 2, (512,) * 2),  # A
    13: ((64, 64), (128, 128), (256,) * 2, (512,) * 2, (512,) * 2),  # B
    16: ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),  # D; C: the third is 1x1
    19: ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),  # E
}  # fmt: skip


class VGG(nn.Module):
    """Convolutions in five blocks, then three linear layers.

    blocks: output channels per convolution and block. batch_norm: after each convolution.
    map_size: rows and columns that reach the first linear layer; other sizes are averaged to it.
    hidden: units of the two hidden linear layers, dropped with probability dropout; 0: no such
    layers. third_1x1: the third convolution of a block is 1x1 (configuration C).
    """

    # timm's names of the linear layers; its first two are convolutions
    key_map = (
        (r"^pre_logits\.fc1\.", "classifier.0."),
        (r"^pre_logits\.fc2\.", "classifier.3."),
        (r"^head\.fc\.", "classifier.6."),
    )

    def __init__(
        self,
        blocks,
        batch_norm=False,
        num_classes=1000,
        in_channels=3,
        map_size=7,
        hidden=4096,
        dropout=0.5,
        third_1x1=False,
    ):
        super().__init__()
        layers = []
        for block in blocks:
            for i, channels in enumerate(block):
                size = 1 if third_1x1 and i == 2 else 3
                layers.append(nn.Conv2d(in_channels, channels, size, padding=size // 2))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU())
                in_channels = channels
            layers.append(nn.MaxPool2d(2, 2))
        self.features = FusedSequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(map_size)
        self.flatten = nn.Flatten()
        features = (map_size, map_size, in_channels)
        if hidden:
            self.classifier = nn.Sequential(
                nn.Linear(features, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                classifier(hidden, num_classes),
            )
        else:
            self.classifier = classifier(features, num_classes)
        for module in self.modules():  # as torchvision
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight, mode="fan_out")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps behind the last pooling, (N, 7, 7, 512) for 224 x 224."""
        return self.features(x)

    def forward(self, x):
        x = self.flatten(self.avgpool(self.forward_features(x)))
        return self.classifier(x)


_SOURCE = "Simonyan and Zisserman 2014, table 1, configuration "
_SOURCE_BN = "torchvision's variant with batch norm of configuration "


@register(
    VGG_NETS,
    params=132_863_336,
    macs=7_609_090_048,
    source=_SOURCE + "A",
    weights="timm/vgg11.tv_in1k",
)
def vgg11(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[11], False, num_classes, in_channels)


@register(
    VGG_NETS,
    params=132_868_840,
    macs=7_609_090_048,
    source=_SOURCE_BN + "A",
    weights="timm/vgg11_bn.tv_in1k",
)
def vgg11_bn(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[11], True, num_classes, in_channels)


@register(
    VGG_NETS,
    params=133_047_848,
    macs=11_308_466_176,
    source=_SOURCE + "B",
    weights="timm/vgg13.tv_in1k",
)
def vgg13(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[13], False, num_classes, in_channels)


@register(
    VGG_NETS,
    params=133_053_736,
    macs=11_308_466_176,
    source=_SOURCE_BN + "B",
    weights="timm/vgg13_bn.tv_in1k",
)
def vgg13_bn(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[13], True, num_classes, in_channels)


@register(
    VGG_NETS,
    params=138_357_544,
    macs=15_470_264_320,
    source=_SOURCE + "D",
    weights="timm/vgg16.tv_in1k",
)
def vgg16(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[16], False, num_classes, in_channels)


@register(
    VGG_NETS,
    params=138_365_992,
    macs=15_470_264_320,
    source=_SOURCE_BN + "D",
    weights="timm/vgg16_bn.tv_in1k",
)
def vgg16_bn(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[16], True, num_classes, in_channels)


@register(VGG_NETS, params=133_638_952, macs=11_770_888_192, source=_SOURCE + "C")
def vgg16_c(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[16], False, num_classes, in_channels, third_1x1=True)


@register(
    VGG_NETS,
    params=143_667_240,
    macs=19_632_062_464,
    source=_SOURCE + "E",
    weights="timm/vgg19.tv_in1k",
)
def vgg19(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[19], False, num_classes, in_channels)


@register(
    VGG_NETS,
    params=143_678_248,
    macs=19_632_062_464,
    source=_SOURCE_BN + "E",
    weights="timm/vgg19_bn.tv_in1k",
)
def vgg19_bn(num_classes=1000, in_channels=3):
    return VGG(BLOCKS[19], True, num_classes, in_channels)


@register(
    VGG_NETS,
    params=14_487_946,
    macs=158_027_776,
    input_shape=(32, 32, 3),
    preprocessing=None,
    source="VGG-11 for 32 x 32 images: linear layers 512-2048-2048-10, no dropout",
)
def vgg11_cifar(num_classes=10, in_channels=3):
    return VGG(BLOCKS[11], False, num_classes, in_channels, map_size=1, hidden=2048, dropout=0)


@register(
    VGG_NETS,
    params=14_728_266,
    macs=313_201_664,
    input_shape=(32, 32, 3),
    preprocessing=None,
    source="VGG-16 with batch norm for 32 x 32 images: one linear layer, 512-10",
)
def vgg16_bn_cifar(num_classes=10, in_channels=3):
    return VGG(BLOCKS[16], True, num_classes, in_channels, map_size=1, hidden=0)
