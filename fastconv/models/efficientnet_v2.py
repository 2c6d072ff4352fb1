"""EfficientNetV2: smaller and faster to train. Tan and Le 2021 (arXiv 2104.00298).

The early stages replace MBConv's 1x1 expansion and depthwise convolution by one plain 3x3
(Fused-MBConv, without squeeze-and-excitation), which hardware runs faster. The paper trains at one
resolution and evaluates at a larger: S 300, 384; M and L 384, 480. Attribute names are
torchvision's.
"""

from fastconv.models.blocks import ConvNorm
from fastconv.models.efficientnet import EfficientNet, MBConv, Residual, Stage
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

EFFICIENTNET_V2 = Architecture(
    name="EfficientNetV2",
    title="EfficientNetV2: Smaller Models and Faster Training",
    authors="Tan, Le",
    year=2021,
    link="arXiv 2104.00298",
    introduced="plain 3x3 convolutions in the early stages, regularisation that grows with the"
    " image size during training",
    descends_from=("EfficientNet",),
)


class FusedMBConv(Residual):
    """3x3 expand, 1x1 project; for expand=1 one 3x3 alone, with its activation."""

    def __init__(self, in_channels, out_channels, expand, kernel_size, stride, drop):
        wide = in_channels * expand
        if expand == 1:
            block = [ConvNorm(in_channels, out_channels, kernel_size, stride, act="silu")]
        else:
            block = [
                ConvNorm(in_channels, wide, kernel_size, stride, act="silu"),
                ConvNorm(wide, out_channels),
            ]
        super().__init__(block, stride == 1 and in_channels == out_channels, drop)


# Tan and Le 2021, table 4
#         operator     expand kernel stride channels layers
S = (
    Stage(FusedMBConv, 1,     3,     1,     24,      2),
    Stage(FusedMBConv, 4,     3,     2,     48,      4),
    Stage(FusedMBConv, 4,     3,     2,     64,      4),
    Stage(MBConv,      4,     3,     2,     128,     6),
    Stage(MBConv,      6,     3,     1,     160,     9),
    Stage(MBConv,      6,     3,     2,     256,     15),
)  # fmt: skip
# the reference implementation's M and L
M = (
    Stage(FusedMBConv, 1,     3,     1,     24,      3),
    Stage(FusedMBConv, 4,     3,     2,     48,      5),
    Stage(FusedMBConv, 4,     3,     2,     80,      5),
    Stage(MBConv,      4,     3,     2,     160,     7),
    Stage(MBConv,      6,     3,     1,     176,     14),
    Stage(MBConv,      6,     3,     2,     304,     18),
    Stage(MBConv,      6,     3,     1,     512,     5),
)  # fmt: skip
L = (
    Stage(FusedMBConv, 1,     3,     1,     32,      4),
    Stage(FusedMBConv, 4,     3,     2,     64,      7),
    Stage(FusedMBConv, 4,     3,     2,     96,      7),
    Stage(MBConv,      4,     3,     2,     192,     10),
    Stage(MBConv,      6,     3,     1,     224,     19),
    Stage(MBConv,      6,     3,     2,     384,     25),
    Stage(MBConv,      6,     3,     1,     640,     7),
)  # fmt: skip


def published(paper, top1, top5, size):
    """What the paper's authors and torchvision's weights reach."""
    return (
        Accuracy(paper, None, "ImageNet validation", "README of google/automl's EfficientNetV2"),
        Accuracy(
            top1,
            top5,
            f"ImageNet validation, one {size} x {size} crop",
            "torchvision's weights IMAGENET1K_V1",
        ),
    )


@register(
    EFFICIENTNET_V2,
    params=21_458_488,
    macs=8_365_617_152,
    input_shape=(384, 384, 3),
    source="Tan and Le 2021, table 4",
    accuracy=published(83.9, 84.228, 96.878, 384),
    preprocessing=Preprocessing(384, 384),
)
def efficientnet_v2_s(num_classes=1000, in_channels=3):
    return EfficientNet(24, S, 1280, num_classes, in_channels, dropout=0.2, eps=1e-3)


@register(
    EFFICIENTNET_V2,
    params=54_139_356,
    macs=24_582_460_384,
    input_shape=(480, 480, 3),
    source="Tan and Le 2021; stages as google/automl",
    accuracy=published(85.2, 85.112, 97.156, 480),
    preprocessing=Preprocessing(480, 480),
)
def efficientnet_v2_m(num_classes=1000, in_channels=3):
    return EfficientNet(24, M, 1280, num_classes, in_channels, dropout=0.3, eps=1e-3)


@register(
    EFFICIENTNET_V2,
    params=118_515_272,
    macs=56_079_699_008,
    input_shape=(480, 480, 3),
    source="Tan and Le 2021; stages as google/automl",
    accuracy=published(85.7, 85.808, 97.788, 480),
    preprocessing=Preprocessing(480, 480, "bicubic", mean=(0.5,) * 3, std=(0.5,) * 3),
)
def efficientnet_v2_l(num_classes=1000, in_channels=3):
    return EfficientNet(32, L, 1280, num_classes, in_channels, dropout=0.4, eps=1e-3)
