"""ResNets and plain networks for 32 x 32 images. He et al. 2015 (arXiv 1512.03385), section 4.2.

A 3x3 convolution, three stages of n basic blocks, global average pooling, a linear layer: 6n + 2
layers. Shortcuts are of option A, so that the plain network has exactly as many parameters; option
B is the names with _b. Images (N, 32, 32, C).
"""

from functools import partial

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.registry import register
from fastconv.models.resnet import RESNET, BasicBlock, initialise


class CifarResNet(nn.Module):
    """n blocks per stage of 16, 32, 64 channels; shortcut: an option of shortcuts.py."""

    def __init__(self, n, shortcut="A", num_classes=10, in_channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels = 16
        for i, width in enumerate((16, 32, 64)):
            blocks = []
            for j in range(n):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(BasicBlock(channels, width, stride, shortcut))
                channels = width
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = classifier(channels, num_classes)
        initialise(self)

    def forward_features(self, x):
        """(N, 32, 32, C) -> (N, 8, 8, 64)."""
        x = nn.conv_bn_act(x, self.conv1, self.bn1, "relu")
        return self.layer3(self.layer2(self.layer1(x)))

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.flatten(x))


cifar = partial(register, RESNET, input_shape=(32, 32, 3), preprocessing=None)

_SOURCE = "He et al. 2015, section 4.2: "


@cifar(params=269_722, macs=40_551_040, source=_SOURCE + "option A")
def resnet20_cifar(num_classes=10, in_channels=3):
    return CifarResNet(3, "A", num_classes, in_channels)


@cifar(params=464_154, macs=68_862_592, source=_SOURCE + "option A")
def resnet32_cifar(num_classes=10, in_channels=3):
    return CifarResNet(5, "A", num_classes, in_channels)


@cifar(params=658_586, macs=97_174_144, source=_SOURCE + "option A")
def resnet44_cifar(num_classes=10, in_channels=3):
    return CifarResNet(7, "A", num_classes, in_channels)


@cifar(params=853_018, macs=125_485_696, source=_SOURCE + "option A")
def resnet56_cifar(num_classes=10, in_channels=3):
    return CifarResNet(9, "A", num_classes, in_channels)


@cifar(params=1_727_962, macs=252_887_680, source=_SOURCE + "option A")
def resnet110_cifar(num_classes=10, in_channels=3):
    return CifarResNet(18, "A", num_classes, in_channels)


@cifar(params=19_421_274, macs=2_829_238_912, source=_SOURCE + "option A")
def resnet1202_cifar(num_classes=10, in_channels=3):
    return CifarResNet(200, "A", num_classes, in_channels)


@cifar(params=272_474, macs=40_813_184, source=_SOURCE + "option B")
def resnet20_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(3, "B", num_classes, in_channels)


@cifar(params=466_906, macs=69_124_736, source=_SOURCE + "option B")
def resnet32_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(5, "B", num_classes, in_channels)


@cifar(params=661_338, macs=97_436_288, source=_SOURCE + "option B")
def resnet44_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(7, "B", num_classes, in_channels)


@cifar(params=855_770, macs=125_747_840, source=_SOURCE + "option B")
def resnet56_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(9, "B", num_classes, in_channels)


@cifar(params=1_730_714, macs=253_149_824, source=_SOURCE + "option B")
def resnet110_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(18, "B", num_classes, in_channels)


@cifar(params=269_722, macs=40_551_040, source=_SOURCE + "no shortcuts")
def plain20_cifar(num_classes=10, in_channels=3):
    return CifarResNet(3, None, num_classes, in_channels)


@cifar(params=464_154, macs=68_862_592, source=_SOURCE + "no shortcuts")
def plain32_cifar(num_classes=10, in_channels=3):
    return CifarResNet(5, None, num_classes, in_channels)


@cifar(params=658_586, macs=97_174_144, source=_SOURCE + "no shortcuts")
def plain44_cifar(num_classes=10, in_channels=3):
    return CifarResNet(7, None, num_classes, in_channels)


@cifar(params=853_018, macs=125_485_696, source=_SOURCE + "no shortcuts")
def plain56_cifar(num_classes=10, in_channels=3):
    return CifarResNet(9, None, num_classes, in_channels)


@cifar(params=1_727_962, macs=252_887_680, source=_SOURCE + "no shortcuts")
def plain110_cifar(num_classes=10, in_channels=3):
    return CifarResNet(18, None, num_classes, in_channels)
