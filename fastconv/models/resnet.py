"""Residual networks: y = relu(F(x) + x). He et al. 2015 (arXiv 1512.03385).

F is two 3x3 convolutions (BasicBlock) or 1x1, 3x3, 1x1 (Bottleneck), each followed by batch norm.
Where the shape changes the shortcut is a 1x1 convolution with stride and batch norm (option B).
Images (N, H, W, C), 224 x 224 in the paper. Attribute names are torchvision's.
"""

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Architecture
from fastconv.models.registry import register

RESNET = Architecture(
    name="ResNet",
    title="Deep Residual Learning for Image Recognition",
    authors="He, Zhang, Ren, Sun",
    year=2015,
    link="arXiv 1512.03385",
    introduced="shortcuts: a block learns what to add to its input",
    descends_from=("VGG",),
)


class BasicBlock(nn.Module):
    """3x3, 3x3 (figure 5, left). Without shortcut it is the block of the plain network."""

    expansion = 1

    def __init__(self, in_channels, width, stride=1, shortcut=True):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = shortcut
        self.downsample = projection(in_channels, width, stride) if shortcut else None

    def forward(self, x):
        y = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        return nn.conv_bn_act(y, self.conv2, self.bn2, "relu", residual=shortcut_of(self, x))


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand by 4 (figure 5, right).

    The paper strides in the first 1x1 (v1), torchvision and fb.resnet.torch in the 3x3 (v1.5): the
    same parameters, 6 % more MACs at 50 layers.
    """

    expansion = 4

    def __init__(self, in_channels, width, stride=1, stride_in_1x1=False):
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = True
        self.downsample = projection(in_channels, out_channels, stride)

    def forward(self, x):
        y = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        y = nn.conv_bn_act(y, self.conv2, self.bn2, "relu")
        return nn.conv_bn_act(y, self.conv3, self.bn3, "relu", residual=shortcut_of(self, x))


def projection(in_channels, out_channels, stride):
    """1x1 convolution + batch norm where input and output differ in shape, else None."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def shortcut_of(block, x):
    """What is added to F(x): the projection of x, x itself, or nothing in a plain network."""
    if not block.shortcut:
        return None
    if block.downsample is None:
        return x
    conv, bn = block.downsample
    return nn.conv_bn_act(x, conv, bn)


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, global average pooling, one linear layer.

    block: BasicBlock or Bottleneck; depths: how many per stage; block_options go to each.
    zero_init_residual: gamma of each block's last batch norm starts at 0, so that a block begins as
    the identity (Goyal et al. 2017, section 5.1).
    """

    def __init__(
        self,
        block,
        depths,
        num_classes=1000,
        in_channels=3,
        zero_init_residual=False,
        **block_options,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for i, depth in enumerate(depths):
            width = 64 * 2**i
            blocks = []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(block(channels, width, stride, **block_options))
                channels = width * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = classifier(channels, num_classes)
        initialise(self, zero_init_residual)

    def forward_features(self, x):
        """The maps of the last stage, (N, 7, 7, C) for 224 x 224."""
        x = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return self.layer4(x)

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.flatten(x))


def initialise(model, zero_init_residual):
    """As torchvision: convolutions by He's rule with the fan-out; batch norm is at 1, 0 already."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.he_normal_(module.weight, mode="fan_out")
        elif zero_init_residual and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_init_residual and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)


# He et al. 2015, table 1: blocks per stage
# layers   conv2_x conv3_x conv4_x conv5_x
DEPTHS = {
    18:   (2,      2,      2,      2),
    34:   (3,      4,      6,      3),
    50:   (3,      4,      6,      3),
    101:  (3,      4,      23,     3),
    152:  (3,      8,      36,     3),
}  # fmt: skip

_V15 = "He et al. 2015, table 1; stride as torchvision (v1.5)"
_V1 = "He et al. 2015, table 1; stride in the first 1x1"


@register(
    RESNET,
    params=11_689_512,
    macs=1_814_073_344,
    source="He et al. 2015, table 1",
    weights="timm/resnet18.tv_in1k",
)
def resnet18(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(BasicBlock, DEPTHS[18], num_classes, in_channels, zero_init_residual)


@register(
    RESNET,
    params=21_797_672,
    macs=3_663_761_408,
    source="He et al. 2015, table 1",
    weights="timm/resnet34.tv_in1k",
)
def resnet34(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(BasicBlock, DEPTHS[34], num_classes, in_channels, zero_init_residual)


@register(
    RESNET, params=25_557_032, macs=4_089_184_256, source=_V15, weights="timm/resnet50.tv_in1k"
)
def resnet50(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(Bottleneck, DEPTHS[50], num_classes, in_channels, zero_init_residual)


@register(
    RESNET, params=44_549_160, macs=7_801_405_440, source=_V15, weights="timm/resnet101.tv_in1k"
)
def resnet101(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(Bottleneck, DEPTHS[101], num_classes, in_channels, zero_init_residual)


@register(
    RESNET, params=60_192_808, macs=11_513_626_624, source=_V15, weights="timm/resnet152.tv_in1k"
)
def resnet152(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(Bottleneck, DEPTHS[152], num_classes, in_channels, zero_init_residual)


@register(RESNET, params=25_557_032, macs=3_857_973_248, source=_V1)
def resnet50_v1(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[50], num_classes, in_channels, zero_init_residual, stride_in_1x1=True
    )


@register(RESNET, params=44_549_160, macs=7_570_194_432, source=_V1)
def resnet101_v1(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[101], num_classes, in_channels, zero_init_residual, stride_in_1x1=True
    )


@register(RESNET, params=60_192_808, macs=11_282_415_616, source=_V1)
def resnet152_v1(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[152], num_classes, in_channels, zero_init_residual, stride_in_1x1=True
    )


@register(
    RESNET,
    params=11_515_688,
    macs=1_794_805_760,
    source="He et al. 2015, section 4.1: no shortcuts",
)
def plain18(num_classes=1000, in_channels=3):
    return ResNet(BasicBlock, DEPTHS[18], num_classes, in_channels, shortcut=False)


@register(
    RESNET,
    params=21_623_848,
    macs=3_644_493_824,
    source="He et al. 2015, section 4.1: no shortcuts",
)
def plain34(num_classes=1000, in_channels=3):
    return ResNet(BasicBlock, DEPTHS[34], num_classes, in_channels, shortcut=False)
