"""Residual networks: y = relu(F(x) + x). He et al. 2015 (arXiv 1512.03385).

F is two 3x3 convolutions (BasicBlock) or 1x1, 3x3, 1x1 (Bottleneck), each followed by batch norm.
The shortcut's options A to D are in shortcuts.py; B, a 1x1 convolution where the shape changes, is
what everybody uses.
Images (N, H, W, C), 224 x 224 in the paper. Attribute names are torchvision's.
"""

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register
from fastconv.models.shortcuts import projection, shortcut_of

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
    """3x3, 3x3 (figure 5, left). shortcut: an option of shortcuts.py."""

    expansion = 1

    def __init__(self, in_channels, width, stride=1, shortcut="B"):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = shortcut
        self.downsample = projection(in_channels, width, stride, shortcut)

    def forward(self, x):
        y = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        return nn.conv_bn_act(y, self.conv2, self.bn2, "relu", residual=shortcut_of(self, x))


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand by 4 (figure 5, right).

    The paper strides in the first 1x1 (v1), torchvision and fb.resnet.torch in the 3x3 (v1.5): the
    same parameters, 6 % more MACs at 50 layers.
    groups, base_width: the 3x3 has groups * (width * base_width / 64) channels (resnext.py,
    wide_resnet.py).
    """

    expansion = 4

    def __init__(
        self,
        in_channels,
        width,
        stride=1,
        shortcut="B",
        stride_in_1x1=False,
        groups=1,
        base_width=64,
    ):
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        inner = width * base_width // 64 * groups
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, inner, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, second, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut
        self.downsample = projection(in_channels, out_channels, stride, shortcut)

    def forward(self, x):
        y = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        y = nn.conv_bn_act(y, self.conv2, self.bn2, "relu")
        return nn.conv_bn_act(y, self.conv3, self.bn3, "relu", residual=shortcut_of(self, x))


class DeepStem(nn.Sequential):
    """3x3 with stride 2, 3x3, 3x3; the batch norm behind the last is the network's own."""

    def __init__(self, in_channels, a, b, c):
        super().__init__(
            nn.Conv2d(in_channels, a, 3, 2, 1, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
            nn.Conv2d(a, b, 3, 1, 1, bias=False),
            nn.BatchNorm2d(b),
            nn.ReLU(),
            nn.Conv2d(b, c, 3, 1, 1, bias=False),
        )

    def forward(self, x, bn):
        first, bn_1, _, second, bn_2, _, third = self
        x = nn.conv_bn_act(x, first, bn_1, "relu")
        x = nn.conv_bn_act(x, second, bn_2, "relu")
        return nn.conv_bn_act(x, third, bn, "relu")


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, global average pooling, one linear layer.

    block: BasicBlock or Bottleneck; depths: how many per stage; block_options go to each.
    zero_init_residual: gamma of each block's last batch norm starts at 0, so that a block begins as
    the identity (Goyal et al. 2017, section 5.1).
    deep_stem: channels of three 3x3 convolutions in place of the 7x7.
    """

    def __init__(
        self,
        block,
        depths,
        num_classes=1000,
        in_channels=3,
        zero_init_residual=False,
        deep_stem=None,
        **block_options,
    ):
        super().__init__()
        channels = deep_stem[-1] if deep_stem else 64
        if deep_stem:
            self.conv1 = DeepStem(in_channels, *deep_stem)
        else:
            self.conv1 = nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
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

    def stem(self, x):
        """(N, H, W, C) -> (N, H/2, W/2, 64)."""
        if isinstance(self.conv1, DeepStem):
            return self.conv1(x, self.bn1)
        return nn.conv_bn_act(x, self.conv1, self.bn1, "relu")

    def forward_features(self, x):
        """The maps of the last stage, (N, 7, 7, C) for 224 x 224."""
        x = self.maxpool(self.stem(x))
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return self.layer4(x)

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.flatten(x))


def initialise(model, zero_init_residual=False):
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


def torchvisions(top1, top5, version=1):
    """Accuracy of torchvision's weights IMAGENET1K_V1 or _V2, whose recipes differ."""
    resize = {1: 256, 2: 232}[version]
    what = f"ImageNet validation, resize {resize}, centre crop 224"
    return Accuracy(top1, top5, what, f"torchvision, weights IMAGENET1K_V{version}")


def authors(top1, top5):
    """Accuracy of the paper's own weights."""
    source = "github.com/KaimingHe/deep-residual-networks"
    return Accuracy(top1, top5, "ImageNet validation, centre crop 224", source)


ACCURACY = {
    18: (torchvisions(69.758, 89.078),),
    34: (torchvisions(73.314, 91.42),),
    50: (torchvisions(76.13, 92.862), torchvisions(80.858, 95.434, 2)),
    101: (torchvisions(77.374, 93.546), torchvisions(81.886, 95.78, 2)),
    152: (torchvisions(78.312, 94.046), torchvisions(82.284, 96.002, 2)),
}

_TABLE_1 = "He et al. 2015, table 1"
_V15 = "He et al. 2015, table 1; stride as torchvision (v1.5)"
_V1 = "He et al. 2015, table 1; stride in the first 1x1"


@register(
    RESNET,
    params=11_689_512,
    macs=1_814_073_344,
    source=_TABLE_1,
    accuracy=ACCURACY[18],
    weights="timm/resnet18.tv_in1k",
)
def resnet18(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(BasicBlock, DEPTHS[18], num_classes, in_channels, zero_init_residual)


@register(
    RESNET,
    params=21_797_672,
    macs=3_663_761_408,
    source=_TABLE_1,
    accuracy=ACCURACY[34],
    weights="timm/resnet34.tv_in1k",
)
def resnet34(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(BasicBlock, DEPTHS[34], num_classes, in_channels, zero_init_residual)


@register(
    RESNET,
    params=25_557_032,
    macs=4_089_184_256,
    source=_V15,
    accuracy=ACCURACY[50],
    weights="timm/resnet50.tv_in1k",
)
def resnet50(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(Bottleneck, DEPTHS[50], num_classes, in_channels, zero_init_residual)


@register(
    RESNET,
    params=44_549_160,
    macs=7_801_405_440,
    source=_V15,
    accuracy=ACCURACY[101],
    weights="timm/resnet101.tv_in1k",
)
def resnet101(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(Bottleneck, DEPTHS[101], num_classes, in_channels, zero_init_residual)


@register(
    RESNET,
    params=60_192_808,
    macs=11_513_626_624,
    source=_V15,
    accuracy=ACCURACY[152],
    weights="timm/resnet152.tv_in1k",
)
def resnet152(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(Bottleneck, DEPTHS[152], num_classes, in_channels, zero_init_residual)


@register(
    RESNET, params=25_557_032, macs=3_857_973_248, source=_V1, accuracy=(authors(75.3, 92.2),)
)
def resnet50_v1(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[50], num_classes, in_channels, zero_init_residual, stride_in_1x1=True
    )


@register(
    RESNET, params=44_549_160, macs=7_570_194_432, source=_V1, accuracy=(authors(76.4, 92.9),)
)
def resnet101_v1(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[101], num_classes, in_channels, zero_init_residual, stride_in_1x1=True
    )


@register(
    RESNET, params=60_192_808, macs=11_282_415_616, source=_V1, accuracy=(authors(77.0, 93.3),)
)
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
    return ResNet(BasicBlock, DEPTHS[18], num_classes, in_channels, shortcut=None)


@register(
    RESNET,
    params=21_623_848,
    macs=3_644_493_824,
    source="He et al. 2015, section 4.1: no shortcuts",
)
def plain34(num_classes=1000, in_channels=3):
    return ResNet(BasicBlock, DEPTHS[34], num_classes, in_channels, shortcut=None)


@register(
    RESNET, params=11_515_688, macs=1_794_805_760, source="He et al. 2015, section 4.1: option A"
)
def resnet18_a(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        BasicBlock, DEPTHS[18], num_classes, in_channels, zero_init_residual, shortcut="A"
    )


@register(
    RESNET, params=12_043_816, macs=1_878_298_624, source="He et al. 2015, section 4.1: option C"
)
def resnet18_c(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        BasicBlock, DEPTHS[18], num_classes, in_channels, zero_init_residual, shortcut="C"
    )


@register(
    RESNET, params=21_623_848, macs=3_644_493_824, source="He et al. 2015, section 4.1: option A"
)
def resnet34_a(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        BasicBlock, DEPTHS[34], num_classes, in_channels, zero_init_residual, shortcut="A"
    )


@register(
    RESNET, params=22_716_840, macs=3_830_747_136, source="He et al. 2015, section 4.1: option C"
)
def resnet34_c(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        BasicBlock, DEPTHS[34], num_classes, in_channels, zero_init_residual, shortcut="C"
    )
