"""ResNet-D: three changes to ResNet that lose no pixels. He et al. 2018 (arXiv 1812.01187).

Stride in the 3x3 instead of the first 1x1 (B), three 3x3 convolutions for the stem's 7x7 (C), and a
shortcut that averages 2x2 pixels where a 1x1 convolution of stride 2 looked at every fourth (D).
Images (N, H, W, C). Attribute names are timm's.
"""

from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register
from fastconv.models.resnet import DEPTHS, Bottleneck, ResNet

RESNET_D = Architecture(
    name="ResNet-D",
    title="Bag of Tricks for Image Classification with Convolutional Neural Networks",
    authors="He, Zhang, Zhang, Zhang, Xie, Li",
    year=2018,
    link="arXiv 1812.01187",
    introduced="downsampling that reads every pixel: average pooling in the shortcut, a 3x3 stem",
    descends_from=("ResNet",),
)


@register(
    RESNET_D,
    params=25_576_264,
    macs=4_328_824_832,
    source="He et al. 2018, section 4, figure 2; timm's resnet50d",
    accuracy=(
        Accuracy(81.84, 95.926, "ImageNet validation at 288", "timm, ra4_e3600_r224_in1k"),
        Accuracy(81.466, 95.218, "ImageNet validation at 288", "timm, a1_in1k"),
    ),
    preprocessing=Preprocessing(resize=256, crop=224, interpolation="bicubic"),
    weights="timm/resnet50d.ra2_in1k",
)
def resnet50d(num_classes=1000, in_channels=3, zero_init_residual=False):
    return ResNet(
        Bottleneck,
        DEPTHS[50],
        num_classes,
        in_channels,
        zero_init_residual,
        deep_stem=(32, 32, 64),
        shortcut="D",
    )
