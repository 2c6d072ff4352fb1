"""ZFNet: AlexNet with a finer first layer. Zeiler and Fergus 2013 (arXiv 1311.2901), figure 3.

The first windows are 7x7 with stride 2 in place of 11x11 with stride 4. Images (N, 224, 224, 3).
"""

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register

ZFNET = Architecture(
    name="ZFNet",
    title="Visualizing and Understanding Convolutional Networks",
    authors="Zeiler, Fergus",
    year=2013,
    link="arXiv 1311.2901",
    introduced="layers corrected by looking at what they respond to",
    descends_from=("AlexNet",),
)

# Zeiler and Fergus 2013, figure 3; conv1, conv2 and conv5 are followed by 3x3 max pooling, stride 2
# name     filters size stride padding
LAYERS = {
    "conv1": (96,  7,   2,     1),
    "conv2": (256, 5,   2,     0),
    "conv3": (384, 3,   1,     1),
    "conv4": (384, 3,   1,     1),
    "conv5": (256, 3,   1,     1),
}  # fmt: skip


class ZFNet(nn.Module):
    """Five convolutions, contrast normalised across maps behind the first two poolings, and linear
    layers 4096, 4096, num_classes with dropout 0.5."""

    def __init__(self, num_classes=1000, in_channels=3):
        super().__init__()
        channels = in_channels
        for name, (filters, size, stride, padding) in LAYERS.items():
            setattr(self, name, nn.Conv2d(channels, filters, size, stride, padding))
            channels = filters
        self.relu = nn.ReLU()
        # sizes 110, 26 and 13 are halved to 55, 13 and 6: upwards
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool5 = nn.MaxPool2d(3, 2, ceil_mode=True)
        # the paper gives no constants: those of the network that it starts from
        self.norm1 = nn.LocalResponseNorm.paper()
        self.norm2 = nn.LocalResponseNorm.paper()
        self.flatten = nn.Flatten()
        self.fc6 = nn.Linear((6, 6, 256), 4096)
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = nn.Dropout(0.5)
        self.fc8 = classifier(4096, num_classes)
        for module in self.modules():  # section 3
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps behind the last pooling, (N, 6, 6, 256)."""
        x = self.norm1(self.pool1(self.relu(self.conv1(x))))
        x = self.norm2(self.pool2(self.relu(self.conv2(x))))
        x = self.relu(self.conv3(x))
        x = self.relu(self.conv4(x))
        return self.pool5(self.relu(self.conv5(x)))

    def forward(self, x):
        x = self.flatten(self.forward_features(x))
        x = self.drop6(self.relu(self.fc6(x)))
        x = self.drop7(self.relu(self.fc7(x)))
        return self.fc8(x)


@register(
    ZFNET,
    params=62_357_608,
    macs=1_168_032_896,
    source="Zeiler and Fergus 2013, figure 3",
    accuracy=(
        Accuracy(60.79, 83.22, "ImageNet validation, centre crop", "osmr/imgclsmob, Gluon table"),
    ),
)
def zfnet(num_classes=1000, in_channels=3):
    return ZFNet(num_classes, in_channels)
