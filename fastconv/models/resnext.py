"""ResNeXt: the 3x3 convolution of a bottleneck in many groups. Xie et al. 2016 (arXiv 1611.05431).

    y = relu(sum of 32 paths T_i(x) + x)

each path 1x1, 3x3, 1x1 of few channels; the three forms of figure 3 compute the same, and the one
here, a grouped 3x3 convolution (c), is ResNet's bottleneck. 32x4d: 32 groups of 4 channels in the
first stage. Images (N, H, W, C). Attribute names are torchvision's.
"""

from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register
from fastconv.models.resnet import DEPTHS, Bottleneck, ResNet, torchvisions

RESNEXT = Architecture(
    name="ResNeXt",
    title="Aggregated Residual Transformations for Deep Neural Networks",
    authors="Xie, Girshick, Dollár, Tu, He",
    year=2016,
    link="arXiv 1611.05431",
    introduced="cardinality: a block sums many equal narrow paths, a grouped convolution",
    descends_from=("ResNet", "GoogLeNet"),
)


def authors(top1):
    """Accuracy of the paper's own weights, whose README gives one figure."""
    source = "github.com/facebookresearch/ResNeXt"
    return Accuracy(top1, None, "ImageNet validation, centre crop 224", source)


_SOURCE = "Xie et al. 2016, table 1; stride in the 3x3"


@register(
    RESNEXT,
    params=25_028_904,
    macs=4_230_479_872,
    source=_SOURCE,
    accuracy=(authors(77.8), torchvisions(77.618, 93.698), torchvisions(81.198, 95.34, 2)),
    weights="timm/resnext50_32x4d.tv_in1k",
)
def resnext50_32x4d(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck,
        DEPTHS[50],
        num_classes,
        in_channels,
        zero_init_residual,
        groups=32,
        base_width=4,
    )


@register(
    RESNEXT,
    params=44_177_704,
    macs=7_969_996_800,
    source=_SOURCE,
    accuracy=(authors(78.8),),
)
def resnext101_32x4d(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck,
        DEPTHS[101],
        num_classes,
        in_channels,
        zero_init_residual,
        groups=32,
        base_width=4,
    )


@register(
    RESNEXT,
    params=88_791_336,
    macs=16_414_015_488,
    source="torchvision: 32 groups of 8 channels",
    accuracy=(torchvisions(79.312, 94.526), torchvisions(82.834, 96.228, 2)),
    weights="timm/resnext101_32x8d.tv_in1k",
)
def resnext101_32x8d(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck,
        DEPTHS[101],
        num_classes,
        in_channels,
        zero_init_residual,
        groups=32,
        base_width=8,
    )


@register(
    RESNEXT,
    params=83_455_272,
    macs=15_460_270_080,
    source=_SOURCE,
    accuracy=(
        authors(79.6),
        Accuracy(
            83.246,
            96.454,
            "ImageNet validation, resize 232, centre crop 224",
            "torchvision, weights IMAGENET1K_V1",
        ),
    ),
    preprocessing=Preprocessing(resize=232, crop=224),
    weights="timm/resnext101_64x4d.tv_in1k",
)
def resnext101_64x4d(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck,
        DEPTHS[101],
        num_classes,
        in_channels,
        zero_init_residual,
        groups=64,
        base_width=4,
    )
