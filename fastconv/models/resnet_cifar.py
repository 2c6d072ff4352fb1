"""ResNets and plain networks for 32 x 32 images. He et al. 2015 (arXiv 1512.03385), section 4.2.

A 3x3 convolution, three stages of n basic blocks, global average pooling, a linear layer: 6n + 2
layers. Shortcuts are of option A, so that the plain network has exactly as many parameters; option
B is the names with _b. Images (N, 32, 32, C).
"""

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


def cifar(params, macs, kind):
    """Registers a network of section 4.2; kind: "option A", "option B" or "no shortcuts"."""
    return register(
        RESNET,
        params=params,
        macs=macs,
        input_shape=(32, 32, 3),
        preprocessing=None,
        source=f"He et al. 2015, section 4.2: {kind}",
    )


@cifar(269_722, 40_551_040, "option A")
def resnet20_cifar(num_classes=10, in_channels=3):
    return CifarResNet(3, "A", num_classes, in_channels)


@cifar(464_154, 68_862_592, "option A")
def resnet32_cifar(num_classes=10, in_channels=3):
    return CifarResNet(5, "A", num_classes, in_channels)


@cifar(658_586, 97_174_144, "option A")
def resnet44_cifar(num_classes=10, in_channels=3):
    return CifarResNet(7, "A", num_classes, in_channels)


@cifar(853_018, 125_485_696, "option A")
def resnet56_cifar(num_classes=10, in_channels=3):
    return CifarResNet(9, "A", num_classes, in_channels)


@cifar(1_727_962, 252_887_680, "option A")
def resnet110_cifar(num_classes=10, in_channels=3):
    return CifarResNet(18, "A", num_classes, in_channels)


@cifar(19_421_274, 2_829_238_912, "option A")
def resnet1202_cifar(num_classes=10, in_channels=3):
    return CifarResNet(200, "A", num_classes, in_channels)


@cifar(272_474, 40_813_184, "option B")
def resnet20_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(3, "B", num_classes, in_channels)


@cifar(466_906, 69_124_736, "option B")
def resnet32_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(5, "B", num_classes, in_channels)


@cifar(661_338, 97_436_288, "option B")
def resnet44_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(7, "B", num_classes, in_channels)


@cifar(855_770, 125_747_840, "option B")
def resnet56_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(9, "B", num_classes, in_channels)


@cifar(1_730_714, 253_149_824, "option B")
def resnet110_cifar_b(num_classes=10, in_channels=3):
    return CifarResNet(18, "B", num_classes, in_channels)


@cifar(269_722, 40_551_040, "no shortcuts")
def plain20_cifar(num_classes=10, in_channels=3):
    return CifarResNet(3, None, num_classes, in_channels)


@cifar(464_154, 68_862_592, "no shortcuts")
def plain32_cifar(num_classes=10, in_channels=3):
    return CifarResNet(5, None, num_classes, in_channels)


@cifar(658_586, 97_174_144, "no shortcuts")
def plain44_cifar(num_classes=10, in_channels=3):
    return CifarResNet(7, None, num_classes, in_channels)


@cifar(853_018, 125_485_696, "no shortcuts")
def plain56_cifar(num_classes=10, in_channels=3):
    return CifarResNet(9, None, num_classes, in_channels)


@cifar(1_727_962, 252_887_680, "no shortcuts")
def plain110_cifar(num_classes=10, in_channels=3):
    return CifarResNet(18, None, num_classes, in_channels)
