"""Network in network. Lin et al. 2013 (arXiv 1312.4400).

    mlpconv: a convolution, then two 1x1 convolutions: a small network that slides over the image

The last block has a map per class, and the mean of a map is that class's logit: there is no linear
layer. ReLU follows every convolution, the last one too. Images (N, H, W, C).
"""

from fastconv import nn
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register

NIN = Architecture(
    name="NiN",
    title="Network In Network",
    authors="Lin, Chen, Yan",
    year=2013,
    link="arXiv 1312.4400",
    introduced="1x1 convolutions; global average pooling in place of linear layers",
    descends_from=("AlexNet",),
)

# the last 1x1 convolution, where it stands as None, has num_classes filters
# filters of the block  size stride padding
CIFAR = (
    ((192, 160, 96),    5,   1,     2),
    ((192, 192, 192),   5,   1,     2),
    ((192, 192, None),  3,   1,     1),
)  # fmt: skip
IMAGENET = (
    ((96, 96, 96),      11,  4,     0),
    ((256, 256, 256),   5,   1,     2),
    ((384, 384, 384),   3,   1,     1),
    ((1024, 1024, None), 3,  1,     1),
)  # fmt: skip
D2L = (*IMAGENET[:3], ((None, None, None), 3, 1, 1))


class NiN(nn.Module):
    """Blocks with 3x3 pooling of stride 2 between them; a tuple of rows as above.

    average: numbers of the poolings that take the mean, not the maximum. drop: numbers of those
    that dropout 0.5 follows. ceil_mode: of the poolings, Caffe's True or d2l.ai's False.
    num_classes=0: without the convolutions that have a map per class; the mean of what they read.
    """

    def __init__(self, blocks, num_classes, in_channels, average=(), drop=(), ceil_mode=True):
        super().__init__()
        for i, (filters, size, stride, padding) in enumerate(blocks, 1):
            layers = []
            for out_channels in (num_classes if n is None else n for n in filters):
                if out_channels:
                    layers += [
                        nn.Conv2d(in_channels, out_channels, size, stride, padding),
                        nn.ReLU(),
                    ]
                    in_channels = out_channels
                size, stride, padding = 1, 1, 0
            setattr(self, f"block{i}", nn.Sequential(*layers))
            if i < len(blocks):
                pool = nn.AvgPool2d if i in average else nn.MaxPool2d
                setattr(self, f"pool{i}", pool(3, 2, ceil_mode=ceil_mode))
                setattr(self, f"drop{i}", nn.Dropout(0.5) if i in drop else nn.Identity())
        self.blocks = len(blocks)
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        for module in self.modules():  # the paper gives no rule: He's, for the ReLUs
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps whose means are the logits, (N, 8, 8, num_classes) for 32 x 32."""
        for i in range(1, self.blocks):
            x = getattr(self, f"block{i}")(x)
            x = getattr(self, f"drop{i}")(getattr(self, f"pool{i}")(x))
        return getattr(self, f"block{self.blocks}")(x)

    def forward(self, x):
        return self.flatten(self.gap(self.forward_features(x)))


@register(
    NIN,
    params=966_986,
    macs=222_486_528,
    input_shape=(32, 32, 3),
    preprocessing=None,
    source="Lin et al. 2013, section 4.2, as Caffe's model for CIFAR-10",
    accuracy=(Accuracy(89.6, None, "CIFAR-10 validation", "Caffe, Network in Network readme"),),
)
def nin_cifar10(num_classes=10, in_channels=3):
    return NiN(CIFAR, num_classes, in_channels, average=(2,), drop=(1, 2))


@register(
    NIN,
    params=984_356,
    macs=223_592_448,
    input_shape=(32, 32, 3),
    preprocessing=None,
    source="Lin et al. 2013, section 4.3",
)
def nin_cifar100(num_classes=100, in_channels=3):
    return NiN(CIFAR, num_classes, in_channels, average=(2,), drop=(1, 2))


@register(
    NIN,
    params=7_595_176,
    macs=1_100_188_800,
    source="the authors' ImageNet model for Caffe",
    accuracy=(Accuracy(56.7, 79.5, "ImageNet validation, centre crop", "Caffe's table of models"),),
)
def nin_imagenet(num_classes=1000, in_channels=3):
    return NiN(IMAGENET, num_classes, in_channels, drop=(3,))


@register(
    NIN,
    params=1_992_166,
    macs=762_297_352,
    input_shape=(224, 224, 1),
    preprocessing=None,
    source="d2l.ai, Network in Network: the last block has classes for all of its filters",
)
def nin_d2l(num_classes=10, in_channels=1):
    return NiN(D2L, num_classes, in_channels, drop=(3,), ceil_mode=False)
