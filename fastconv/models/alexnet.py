"""AlexNet and what has been written down under its name.

    alexnet         torchvision's: one stream of Krizhevsky 2014 (arXiv 1404.5997), 224 x 224
    alexnet_2012    Krizhevsky et al. 2012: two GPUs as groups, local response norm, 227 x 227
    alexnet_single  the paper's widths in one stream without norm, as most slides count it
    alexnet_003     the same without the second hidden linear layer, as lecture 003 writes it
    alexnet_bn      the same with batch norm after two poolings, as lecture 004 writes it

The paper says 224, but its sizes need 227: (227 - 11)/4 + 1 = 55. Images (N, H, W, C).
"""

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Architecture
from fastconv.models.registry import register

ALEXNET = Architecture(
    name="AlexNet",
    title="ImageNet Classification with Deep Convolutional Neural Networks",
    authors="Krizhevsky, Sutskever, Hinton",
    year=2012,
    link="NIPS 2012",
    introduced="ReLU, dropout and two GPUs: depth on a million photographs",
    descends_from=("LeNet-5",),
)


class AlexNet(nn.Module):
    """Krizhevsky 2014 as torchvision has it; attribute names and numbers are torchvision's."""

    def __init__(self, num_classes=1000, in_channels=3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear((6, 6, 256), 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            classifier(4096, num_classes),
        )

    def forward_features(self, x):
        """The maps behind the last pooling, (N, 6, 6, 256) for 224 x 224."""
        return self.features(x)

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.classifier(self.flatten(x))


# Krizhevsky et al. 2012, section 3.5
# name     filters size stride padding groups bias (section 5)
LAYERS = {
    "conv1": (96,  11,  4,     0,      1,     0),
    "conv2": (256, 5,   1,     2,      2,     1),
    "conv3": (384, 3,   1,     1,      1,     0),
    "conv4": (384, 3,   1,     1,      2,     1),
    "conv5": (256, 3,   1,     1,      2,     1),
}  # fmt: skip


class AlexNet2012(nn.Module):
    """Five convolutions, hidden linear layers of 4096 with dropout 0.5, and the classifier.

    two_gpus: conv2, conv4, conv5 see only the channels that live on their GPU (groups=2).
    norm: "response" (before the pooling, the paper), "batch" (after it, lecture 004) or None.
    hidden: number of hidden linear layers; they and the classifier are named fc6, fc7, ...
    """

    def __init__(self, num_classes, in_channels, two_gpus=False, norm=None, hidden=2):
        super().__init__()
        channels = in_channels
        for name, (filters, size, stride, padding, groups, _) in LAYERS.items():
            groups = groups if two_gpus else 1
            setattr(self, name, nn.Conv2d(channels, filters, size, stride, padding, groups=groups))
            channels = filters
        self.relu = nn.ReLU()
        self.norm1 = nn.LocalResponseNorm.paper() if norm == "response" else None
        self.norm2 = nn.LocalResponseNorm.paper() if norm == "response" else None
        self.pool1 = nn.MaxPool2d(3, 2)
        self.pool2 = nn.MaxPool2d(3, 2)
        self.pool5 = nn.MaxPool2d(3, 2)
        self.bn1 = keras_batch_norm(96) if norm == "batch" else None
        self.bn2 = keras_batch_norm(256) if norm == "batch" else None
        self.flatten = nn.Flatten()
        features = (6, 6, 256)
        for i in range(hidden):
            setattr(self, f"fc{6 + i}", nn.Linear(features, 4096))
            setattr(self, f"drop{6 + i}", nn.Dropout(0.5))
            features = 4096
        setattr(self, f"fc{6 + hidden}", classifier(features, num_classes))
        self.hidden = hidden
        self.initialise()

    def initialise(self):
        """Weights N(0, 0.01); biases of conv2, conv4, conv5 and hidden layers 1, others 0."""
        biases = {name: row[-1] for name, row in LAYERS.items()}
        biases |= {f"fc{6 + i}": 1 for i in range(self.hidden)}
        if isinstance(getattr(self, f"fc{6 + self.hidden}"), nn.Linear):
            biases[f"fc{6 + self.hidden}"] = 0
        for name, bias in biases.items():
            layer = getattr(self, name)
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, bias)

    def forward_features(self, x):
        """The maps behind the last pooling, (N, 6, 6, 256)."""
        x = self.stage(self.conv1(x), self.norm1, self.pool1, self.bn1)
        x = self.stage(self.conv2(x), self.norm2, self.pool2, self.bn2)
        x = self.relu(self.conv3(x))
        x = self.relu(self.conv4(x))
        return self.pool5(self.relu(self.conv5(x)))

    def forward(self, x):
        x = self.flatten(self.forward_features(x))
        for i in range(6, 6 + self.hidden):
            x = getattr(self, f"drop{i}")(self.relu(getattr(self, f"fc{i}")(x)))
        return getattr(self, f"fc{6 + self.hidden}")(x)

    def stage(self, x, norm, pool, bn):
        """ReLU, norm, pooling, batch norm; norms that the variant does not have are None."""
        x = self.relu(x)
        x = pool(x if norm is None else norm(x))
        return x if bn is None else bn(x)


def keras_batch_norm(channels):
    """Keras' defaults: epsilon 0.001, momentum 0.99 of the old value."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


@register(
    ALEXNET,
    params=61_100_840,
    macs=714_188_480,
    source="Krizhevsky 2014 (one stream) as torchvision",
)
def alexnet(num_classes=1000, in_channels=3):
    return AlexNet(num_classes, in_channels)


@register(
    ALEXNET,
    params=60_965_224,
    macs=724_406_816,
    input_shape=(227, 227, 3),
    source="Krizhevsky et al. 2012, section 3",
)
def alexnet_2012(num_classes=1000, in_channels=3):
    return AlexNet2012(num_classes, in_channels, two_gpus=True, norm="response")


@register(
    ALEXNET,
    params=62_378_344,
    macs=1_135_256_096,
    input_shape=(227, 227, 3),
    source="Krizhevsky et al. 2012 in one stream, without norm",
)
def alexnet_single(num_classes=1000, in_channels=3):
    return AlexNet2012(num_classes, in_channels)


@register(
    ALEXNET,
    params=45_597_032,
    macs=1_118_478_880,
    input_shape=(227, 227, 3),
    source="lecture 003 as written: one stream, linear layers 9216-4096-1000",
)
def alexnet_003(num_classes=1000, in_channels=3):
    return AlexNet2012(num_classes, in_channels, hidden=1)


@register(
    ALEXNET,
    params=58_691_748,  # Keras counts 704 running statistics too: 58,692,452
    macs=1_131_569_696,
    input_shape=(227, 227, 3),
    source="lecture 004, Keras listing: one stream, batch norm after the first two poolings",
)
def alexnet_bn(num_classes=100, in_channels=3):
    return AlexNet2012(num_classes, in_channels, norm="batch")
