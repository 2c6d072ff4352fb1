"""Pre-activation residual networks: y = F(x) + x, nothing after the sum.

He et al. 2016 (arXiv 1603.05027). F puts batch norm and ReLU before each convolution, so that x
reaches the last block unchanged but for what blocks add; one batch norm and ReLU end the network.
Where the shape changes the shortcut is a 1x1 convolution, without batch norm, of what F's first
batch norm and ReLU gave. CIFAR: 3x3 stem of 16, three stages; ImageNet: 7x7 stem, four stages.
Images (N, H, W, C).
"""

from functools import partial

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register
from fastconv.models.resnet import DEPTHS as RESNET_DEPTHS

PREACT_RESNET = Architecture(
    name="Pre-activation ResNet",
    title="Identity Mappings in Deep Residual Networks",
    authors="He, Zhang, Ren, Sun",
    year=2016,
    link="arXiv 1603.05027",
    introduced="batch norm and ReLU before the convolutions: shortcuts that change nothing",
    descends_from=("ResNet",),
)


class PreActBasicBlock(nn.Module):
    """(BN, ReLU, 3x3) twice. dropout: of wide networks, before the second convolution."""

    expansion = 1

    def __init__(self, in_channels, width, stride=1, dropout=0.0):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.downsample = projection(in_channels, width, stride)

    def forward(self, x):
        y = self.bn1(x, "relu")
        shortcut = x if self.downsample is None else self.downsample(y)
        y = nn.conv_bn_act(y, self.conv1, self.bn2, "relu")
        return self.conv2(self.dropout(y)) + shortcut


class PreActBottleneck(nn.Module):
    """BN, ReLU, 1x1; BN, ReLU, 3x3; BN, ReLU, 1x1 to four times the width.

    The authors' code strides in the first 1x1, most others in the 3x3.
    """

    expansion = 4

    def __init__(self, in_channels, width, stride=1, stride_in_1x1=False):
        super().__init__()
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        out_channels = width * self.expansion
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 1, first, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.downsample = projection(in_channels, out_channels, stride)

    def forward(self, x):
        y = self.bn1(x, "relu")
        shortcut = x if self.downsample is None else self.downsample(y)
        y = nn.conv_bn_act(y, self.conv1, self.bn2, "relu")
        y = nn.conv_bn_act(y, self.conv2, self.bn3, "relu")
        return self.conv3(y) + shortcut


def projection(in_channels, out_channels, stride):
    """1x1 convolution where input and output differ in shape, else None."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


def timms_names():
    """(pattern, replacement) from timm's names (resnetv2_50, 101 and 152) to ours."""
    yield r"^stem\.conv\.", "conv1."
    yield r"^norm\.", "bn."
    yield r"^head\.fc\.", "fc."  # a 1x1 convolution there
    for i in range(4):
        block, ours = rf"^stages\.{i}\.blocks\.(\d+)", rf"layer{i + 1}.\1"
        yield rf"{block}\.downsample\.conv\.", f"{ours}.downsample."
        yield rf"{block}\.norm(\d)\.", rf"{ours}.bn\2."
        yield rf"{block}\.", f"{ours}."


class PreActResNet(nn.Module):
    """Stem, stages of `depths` blocks of `widths` channels, BN, ReLU, average, linear layer.

    stem: "cifar", a 3x3 convolution; "imagenet", 7x7 and 3x3 max pooling, both of stride 2;
    "imagenet_bn", batch norm and ReLU between them. block_options go to each block.
    """

    key_map = tuple(timms_names())

    def __init__(
        self, block, depths, widths, stem, num_classes=1000, in_channels=3, **block_options
    ):
        super().__init__()
        if stem == "cifar":
            channels = 16
            self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        else:
            channels = 64
            self.conv1 = nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
        if stem == "imagenet_bn":
            self.bn1 = nn.BatchNorm2d(channels)
        self.stem, self.stages = stem, len(depths)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = []
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(block(channels, width, stride, **block_options))
                channels = width * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(channels)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = classifier(channels, num_classes)
        initialise(self)

    def forward_features(self, x):
        """The maps that are averaged, after the last ReLU."""
        if self.stem == "imagenet_bn":
            x = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        else:
            x = self.conv1(x)
        if self.stem != "cifar":
            x = self.maxpool(x)
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.bn(x, "relu")

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.flatten(x))


def initialise(model):
    """As the authors' code: He's rule with the fan-out; the linear layer's bias is 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.he_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


# ---- CIFAR: (depth - 2) / 6 basic blocks or (depth - 2) / 9 bottlenecks in each of three stages

CIFAR_WIDTHS = (16, 32, 64)


def basic(depth, num_classes, in_channels):
    """Two convolutions per block."""
    depths = ((depth - 2) // 6,) * 3
    return PreActResNet(PreActBasicBlock, depths, CIFAR_WIDTHS, "cifar", num_classes, in_channels)


def bottlenecks(depth, num_classes, in_channels, stride_in_1x1=False):
    """Three convolutions per block."""
    return PreActResNet(
        PreActBottleneck,
        ((depth - 2) // 9,) * 3,
        CIFAR_WIDTHS,
        "cifar",
        num_classes,
        in_channels,
        stride_in_1x1=stride_in_1x1,
    )


cifar = partial(register, PREACT_RESNET, input_shape=(32, 32, 3), preprocessing=None)

_BASIC = "He et al. 2016, section 4: full pre-activation; 1x1 convolutions where shapes change"
_BOTTLENECK = "He et al. 2016, table 4; stride in the 3x3"
_BOTTLENECK_1X1 = "He et al. 2016, table 4; stride in the first 1x1, as resnet-1k-layers"


@cifar(params=272_282, macs=40_813_184, source=_BASIC)
def preact_resnet20_cifar(num_classes=10, in_channels=3):
    return basic(20, num_classes, in_channels)


@cifar(params=855_578, macs=125_747_840, source=_BASIC)
def preact_resnet56_cifar(num_classes=10, in_channels=3):
    return basic(56, num_classes, in_channels)


@cifar(params=1_730_522, macs=253_149_824, source=_BASIC)
def preact_resnet110_cifar(num_classes=10, in_channels=3):
    return basic(110, num_classes, in_channels)


@cifar(params=1_703_258, macs=247_646_720, source=_BOTTLENECK)
def preact_resnet164_cifar(num_classes=10, in_channels=3):
    return bottlenecks(164, num_classes, in_channels)


@cifar(params=1_726_388, macs=247_669_760, source=_BOTTLENECK)
def preact_resnet164_cifar100(num_classes=100, in_channels=3):
    return bottlenecks(164, num_classes, in_channels)


@cifar(
    params=1_703_258,
    macs=244_500_992,
    source=_BOTTLENECK_1X1,
    accuracy=(
        Accuracy(94.54, None, "CIFAR-10 test", "github.com/szagoruyko/wide-residual-networks"),
    ),
)
def preact_resnet164_cifar_stride1x1(num_classes=10, in_channels=3):
    return bottlenecks(164, num_classes, in_channels, stride_in_1x1=True)


@cifar(params=10_327_706, macs=1_490_995_712, source=_BOTTLENECK)
def preact_resnet1001_cifar(num_classes=10, in_channels=3):
    return bottlenecks(1001, num_classes, in_channels)


@cifar(params=10_350_836, macs=1_491_018_752, source=_BOTTLENECK)
def preact_resnet1001_cifar100(num_classes=100, in_channels=3):
    return bottlenecks(1001, num_classes, in_channels)


@cifar(
    params=10_327_706,
    macs=1_487_849_984,
    source=_BOTTLENECK_1X1,
    accuracy=(
        Accuracy(95.08, None, "CIFAR-10 test, batch 128", "github.com/KaimingHe/resnet-1k-layers"),
        Accuracy(95.38, None, "CIFAR-10 test, batch 64", "github.com/KaimingHe/resnet-1k-layers"),
    ),
)
def preact_resnet1001_cifar_stride1x1(num_classes=10, in_channels=3):
    return bottlenecks(1001, num_classes, in_channels, stride_in_1x1=True)


# ---- ImageNet

IMAGENET_WIDTHS = (64, 128, 256, 512)

# blocks per stage: those of the first paper, and fb.resnet.torch's 200 layers
DEPTHS = RESNET_DEPTHS | {200: (3, 24, 36, 3)}


def imagenet(depth, stem, num_classes, in_channels):
    """Bottlenecks with the stride in the 3x3."""
    return PreActResNet(
        PreActBottleneck, DEPTHS[depth], IMAGENET_WIDTHS, stem, num_classes, in_channels
    )


def timms(top1, top5, side):
    """Accuracy of the weights a1h_in1k."""
    return Accuracy(top1, top5, f"ImageNet validation at {side}", "timm, a1h_in1k")


_IMAGENET = "He et al. 2016, section 5; batch norm after the stem, stride in the 3x3"
_RESNETV2 = "timm's resnetv2: nothing between the stem's convolution and pooling"
_TIMM = Preprocessing(235, 224, "bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@register(PREACT_RESNET, params=25_549_480, macs=4_089_184_256, source=_IMAGENET)
def preact_resnet50(num_classes=1000, in_channels=3):
    return imagenet(50, "imagenet_bn", num_classes, in_channels)


@register(PREACT_RESNET, params=44_541_608, macs=7_801_405_440, source=_IMAGENET)
def preact_resnet101(num_classes=1000, in_channels=3):
    return imagenet(101, "imagenet_bn", num_classes, in_channels)


@register(PREACT_RESNET, params=60_185_256, macs=11_513_626_624, source=_IMAGENET)
def preact_resnet152(num_classes=1000, in_channels=3):
    return imagenet(152, "imagenet_bn", num_classes, in_channels)


@register(
    PREACT_RESNET,
    params=64_666_280,
    macs=15_007_481_856,
    source=_IMAGENET,
    accuracy=(
        Accuracy(
            78.34,
            94.21,
            "ImageNet validation, 1 crop",
            "github.com/facebookarchive/fb.resnet.torch",
        ),
    ),
)
def preact_resnet200(num_classes=1000, in_channels=3):
    return imagenet(200, "imagenet_bn", num_classes, in_channels)


@register(
    PREACT_RESNET,
    params=25_549_352,
    macs=4_089_184_256,
    source=_RESNETV2,
    accuracy=(timms(81.406, 95.712, 288), timms(80.41, 95.082, 224)),
    preprocessing=_TIMM,
    weights="timm/resnetv2_50.a1h_in1k",
)
def resnetv2_50(num_classes=1000, in_channels=3):
    return imagenet(50, "imagenet", num_classes, in_channels)


@register(
    PREACT_RESNET,
    params=44_541_480,
    macs=7_801_405_440,
    source=_RESNETV2,
    accuracy=(timms(83.002, 96.444, 288), timms(82.042, 95.866, 224)),
    preprocessing=_TIMM,
    weights="timm/resnetv2_101.a1h_in1k",
)
def resnetv2_101(num_classes=1000, in_channels=3):
    return imagenet(101, "imagenet", num_classes, in_channels)


@register(
    PREACT_RESNET, params=60_185_128, macs=11_513_626_624, source=_RESNETV2, preprocessing=_TIMM
)
def resnetv2_152(num_classes=1000, in_channels=3):
    return imagenet(152, "imagenet", num_classes, in_channels)
