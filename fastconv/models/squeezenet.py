"""SqueezeNet: few channels into the 3x3 windows. Iandola et al. 2016 (arXiv 1602.07360).

    s = relu(1x1(x))      y = [relu(1x1(s)), relu(3x3(s))]      fire: squeeze, then expand both ways

1.1 is the authors' cheaper version: a 3x3 stem, poolings earlier. Images (N, H, W, C), 224 x 224
(Caffe's 227). The classifier is a 1x1 convolution, averaged over the map: no linear layer, no batch
norm. Attribute names and numbers are torchvision's.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register

SQUEEZENET = Architecture(
    name="SqueezeNet",
    title="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    authors="Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer",
    year=2016,
    link="arXiv 1602.07360",
    introduced="fire modules: 1x1 layers squeeze the channels that 3x3 windows read",
    descends_from=("AlexNet", "NiN", "GoogLeNet"),
)


class Fire(nn.Module):
    """(N, H, W, in_channels) -> (N, H, W, 2 * expand)."""

    def __init__(self, in_channels, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x):
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return F.concat([narrow, wide], axis=-1)


# Iandola et al. 2016, table 1
# fire   squeeze expand (1x1 and 3x3 each)
FIRES = {
    2:  (16,     64),
    3:  (16,     64),
    4:  (32,     128),
    5:  (32,     128),
    6:  (48,     192),
    7:  (48,     192),
    8:  (64,     256),
    9:  (64,     256),
}  # fmt: skip


class SqueezeNet(nn.Module):
    """Stem, eight fire modules, dropout, a 1x1 convolution to the classes, global average pooling.

    channels, size: of the stem's filters; pooled: fire modules that a 3x3 max pooling follows.
    """

    def __init__(self, channels, size, pooled, num_classes=1000, in_channels=3):
        super().__init__()
        stem = nn.Conv2d(in_channels, channels, size, 2)
        layers = [stem, nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)]
        for number, (squeeze, expand) in FIRES.items():
            layers.append(Fire(channels, squeeze, expand))
            channels = 2 * expand
            if number in pooled:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Conv2d(channels, num_classes, 1) if num_classes else nn.Identity(),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.flatten = nn.Flatten()
        self.initialise()

    def initialise(self):
        """As torchvision: He's rule, uniform; the last convolution N(0, 0.01); biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.he_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        if isinstance(self.classifier[1], nn.Conv2d):
            nn.init.normal_(self.classifier[1].weight, std=0.01)

    def forward_features(self, x):
        """The maps of the last fire module, (N, 13, 13, 512) for 224 x 224."""
        return self.features(x)

    def forward(self, x):
        return self.flatten(self.classifier(self.forward_features(x)))


@register(
    SQUEEZENET,
    params=1_248_424,
    macs=818_924_576,
    source="Iandola et al. 2016, table 1, as torchvision (no padding in conv10)",
    accuracy=(
        Accuracy(58.092, 80.42, "ImageNet validation, one crop", "torchvision's IMAGENET1K_V1"),
    ),
)
def squeezenet1_0(num_classes=1000, in_channels=3):
    return SqueezeNet(96, 7, (4, 8), num_classes, in_channels)


@register(
    SQUEEZENET,
    params=1_235_496,
    macs=349_151_936,
    source="SqueezeNet v1.1 of the authors' code (forresti/SqueezeNet), as torchvision",
    accuracy=(
        Accuracy(None, 80.3, "ImageNet validation, at least", "README of forresti/SqueezeNet"),
        Accuracy(58.178, 80.624, "ImageNet validation, one crop", "torchvision's IMAGENET1K_V1"),
    ),
)
def squeezenet1_1(num_classes=1000, in_channels=3):
    return SqueezeNet(64, 3, (3, 5), num_classes, in_channels)
