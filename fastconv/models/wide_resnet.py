"""Wide residual networks: fewer layers, k times the channels. Zagoruyko and Komodakis 2016.

arXiv 1605.07146. CIFAR: WRN-d-k has (d - 4) / 6 pre-activation blocks of two 3x3 convolutions in
each stage of 16k, 32k, 64k channels, with dropout between the two where wanted (0.3 in the paper).
ImageNet: ResNet's bottlenecks whose 3x3 has twice the channels; the 1x1's outputs stay.
Images (N, H, W, C). Attribute names of the ImageNet networks are torchvision's.
"""

from functools import partial

from fastconv.models.info import Accuracy, Architecture
from fastconv.models.preact_resnet import PreActBasicBlock, PreActResNet
from fastconv.models.registry import register
from fastconv.models.resnet import DEPTHS, Bottleneck, ResNet, torchvisions

WIDE_RESNET = Architecture(
    name="Wide ResNet",
    title="Wide Residual Networks",
    authors="Zagoruyko, Komodakis",
    year=2016,
    link="arXiv 1605.07146",
    introduced="width in place of depth, dropout inside the blocks",
    descends_from=("ResNet", "Pre-activation ResNet"),
)

_README = "github.com/szagoruyko/wide-residual-networks"


@register(
    WIDE_RESNET,
    params=68_883_240,
    macs=11_398_021_120,
    source="Zagoruyko and Komodakis 2016: WRN-50-2-bottleneck; stride in the 3x3",
    accuracy=(
        Accuracy(78.1, 94.21, "ImageNet validation, centre crop 224", _README),
        torchvisions(78.468, 94.086),
        torchvisions(81.602, 95.758, 2),
    ),
    weights="timm/wide_resnet50_2.tv_in1k",
)
def wide_resnet50_2(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[50], num_classes, in_channels, zero_init_residual, base_width=128
    )


@register(
    WIDE_RESNET,
    params=126_886_696,
    macs=22_753_050_624,
    source="torchvision: the same at 101 layers",
    accuracy=(torchvisions(78.848, 94.284), torchvisions(82.51, 96.02, 2)),
    weights="timm/wide_resnet101_2.tv_in1k",
)
def wide_resnet101_2(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck, DEPTHS[101], num_classes, in_channels, zero_init_residual, base_width=128
    )


# ---- CIFAR


def wrn(depth, k, num_classes, in_channels, dropout):
    """WRN-depth-k."""
    return PreActResNet(
        PreActBasicBlock,
        ((depth - 4) // 6,) * 3,
        (16 * k, 32 * k, 64 * k),
        "cifar",
        num_classes,
        in_channels,
        dropout=dropout,
    )


cifar = partial(
    register,
    WIDE_RESNET,
    source="Zagoruyko and Komodakis 2016, table 1",
    input_shape=(32, 32, 3),
    preprocessing=None,
)


@cifar(params=2_748_890, macs=392_612_352)
def wrn16_4_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(16, 4, num_classes, in_channels, dropout)


@cifar(params=10_961_370, macs=1_548_145_664)
def wrn16_8_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(16, 8, num_classes, in_channels, dropout)


@cifar(params=17_158_106, macs=2_454_115_328)
def wrn22_8_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(22, 8, num_classes, in_channels, dropout)


@cifar(
    params=36_479_194,
    macs=5_243_328_768,
    accuracy=(
        Accuracy(96.0, None, "CIFAR-10 test", _README),
        Accuracy(96.11, None, "CIFAR-10 test, dropout 0.3", _README),
    ),
)
def wrn28_10_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(28, 10, num_classes, in_channels, dropout)


@cifar(
    params=36_536_884,
    macs=5_243_386_368,
    accuracy=(
        Accuracy(80.75, None, "CIFAR-100 test", _README),
        Accuracy(81.15, None, "CIFAR-100 test, dropout 0.3", _README),
    ),
)
def wrn28_10_cifar100(num_classes=100, in_channels=3, dropout=0.0):
    return wrn(28, 10, num_classes, in_channels, dropout)


@cifar(params=52_517_850, macs=7_543_905_792)
def wrn28_12_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(28, 12, num_classes, in_channels, dropout)


@cifar(params=563_930, macs=83_280_512)
def wrn40_1_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(40, 1, num_classes, in_channels, dropout)


@cifar(params=2_243_546, macs=327_599_360)
def wrn40_2_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(40, 2, num_classes, in_channels, dropout)


@cifar(params=8_949_210, macs=1_298_582_016)
def wrn40_4_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(40, 4, num_classes, in_channels, dropout)


@cifar(params=35_748_314, macs=5_172_024_320)
def wrn40_8_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(40, 8, num_classes, in_channels, dropout)


@cifar(params=55_841_754, macs=8_074_483_968)
def wrn40_10_cifar(num_classes=10, in_channels=3, dropout=0.0):
    return wrn(40, 10, num_classes, in_channels, dropout)
