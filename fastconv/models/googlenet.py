"""GoogLeNet. Szegedy et al. 2014 (arXiv 1409.4842), "Going deeper with convolutions".

    googlenet_2014  the network of the paper: biases, local response norm, no batch norm
    googlenet       torchvision's: batch norm; the branch of 5x5 windows has 3x3 ones

An Inception module looks at its input through windows of several sizes and lets the next layer
choose. 22 layers with weights: 3 convolutions, 9 modules of 2, 1 linear layer. Images (N, H, W, C),
224 x 224. With aux_heads=True training gives (logits, aux1, aux2), and model.loss adds them up.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.head import classifier, loss_with_aux
from fastconv.models.inception import ConvBnRelu, Parallel, tower
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

GOOGLENET = Architecture(
    name="GoogLeNet",
    title="Going Deeper with Convolutions",
    authors="Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich",
    year=2014,
    link="arXiv 1409.4842",
    introduced="modules of parallel windows behind 1x1 reductions; auxiliary classifiers",
    descends_from=("NiN",),
)

# Szegedy et al. 2014, table 1
# module 1x1  reduce 3x3  reduce 5x5  pool projection
MODULES = {
    "3a": (64,  96,  128, 16,  32,  32),
    "3b": (128, 128, 192, 32,  96,  64),
    "4a": (192, 96,  208, 16,  48,  64),
    "4b": (160, 112, 224, 24,  64,  64),
    "4c": (128, 128, 256, 24,  64,  64),
    "4d": (112, 144, 288, 32,  64,  64),
    "4e": (256, 160, 320, 32,  128, 128),
    "5a": (256, 160, 320, 32,  128, 128),
    "5b": (384, 192, 384, 48,  128, 128),
}  # fmt: skip
POOLED_BEFORE = {"4a": 3, "5a": 4}  # the pooling, by its number, that comes before a module
HEADS = {"4a": "aux1", "4d": "aux2"}  # the auxiliary head that reads the output of a module


# ---- the modules of figure 2


class NaiveInception(Parallel):
    """1x1, 3x3, 5x5 convolutions and 3x3 max pooling in parallel (figure 2a).

    (N, H, W, C) -> (N, H, W, n1 + n3 + n5 + C): it can only become wider.
    """

    def __init__(self, in_channels, n1, n3, n5):
        super().__init__(
            branch1=conv_relu(in_channels, n1, 1),
            branch3=conv_relu(in_channels, n3, 3),
            branch5=conv_relu(in_channels, n5, 5),
            pool=nn.MaxPool2d(3, 1, 1),
        )


class Inception(Parallel):
    """The same with 1x1 convolutions before the 3x3 and 5x5 and behind the pooling (figure 2b).

    (N, H, W, C) -> (N, H, W, n1 + n3 + n5 + projection); reduce3 and reduce5 channels are what the
    large windows read.
    """

    def __init__(self, in_channels, n1, reduce3, n3, reduce5, n5, projection):
        super().__init__(
            branch1=conv_relu(in_channels, n1, 1),
            branch3=nn.Sequential(conv_relu(in_channels, reduce3, 1), conv_relu(reduce3, n3, 3)),
            branch5=nn.Sequential(conv_relu(in_channels, reduce5, 1), conv_relu(reduce5, n5, 5)),
            pool=nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_relu(in_channels, projection, 1)),
        )


def conv_relu(in_channels, out_channels, size):
    """A convolution that keeps the size, and ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, size, padding=size // 2), nn.ReLU())


# ---- the two networks


class AuxiliaryHead2014(nn.Module):
    """5x5/3 average pooling (14 -> 4), 1x1 convolution, 1024 hidden units, dropout 0.7, logits."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3)
        self.conv = nn.Conv2d(in_channels, 128, 1)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear((4, 4, 128), 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = classifier(1024, num_classes)

    def forward(self, x):
        x = self.flatten(self.relu(self.conv(self.pool(x))))
        return self.fc2(self.dropout(self.relu(self.fc1(x))))


class GoogLeNet2014(nn.Module):
    """Table 1, with Caffe's names: everything has a bias, everything but the classifiers a ReLU."""

    def __init__(self, num_classes=1000, in_channels=3, aux_heads=False):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5)
        self.conv2_reduce = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.norm2 = nn.LocalResponseNorm(5)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.relu = nn.ReLU()
        channels = 192
        for name, (n1, reduce3, n3, reduce5, n5, projection) in MODULES.items():
            module = Inception(channels, n1, reduce3, n3, reduce5, n5, projection)
            setattr(self, f"inception_{name}", module)
            channels = n1 + n3 + n5 + projection
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.4)
        self.fc = classifier(channels, num_classes)
        self.aux1 = AuxiliaryHead2014(512, num_classes) if aux_heads else None
        self.aux2 = AuxiliaryHead2014(528, num_classes) if aux_heads else None
        for module in self.modules():  # as Caffe's bvlc_googlenet
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.lecun_uniform_(module.weight)
                nn.init.constant_(module.bias, 0.2)
        if num_classes:
            for layer in (self.fc, self.aux1.fc2, self.aux2.fc2) if aux_heads else (self.fc,):
                nn.init.zeros_(layer.bias)

    def forward_features(self, x, heads=None):
        """The maps of the last module, (N, 7, 7, 1024) for 224 x 224.

        heads: a list that gets the outputs of the auxiliary heads.
        """
        x = self.norm1(self.pool1(self.relu(self.conv1(x))))
        x = self.relu(self.conv2_reduce(x))
        x = self.pool2(self.norm2(self.relu(self.conv2(x))))
        for name in MODULES:
            if name in POOLED_BEFORE:
                x = getattr(self, f"pool{POOLED_BEFORE[name]}")(x)
            x = getattr(self, f"inception_{name}")(x)
            if heads is not None and name in HEADS:
                heads.append(getattr(self, HEADS[name])(x))
        return x

    def forward(self, x):
        heads = [] if self.training and self.aux1 is not None else None
        x = self.forward_features(x, heads)
        logits = self.fc(self.dropout(self.flatten(self.gap(x))))
        return (logits, *heads) if heads else logits

    def loss(self, outputs, labels):
        """Cross-entropy of the logits, and in training 0.3 times that of every auxiliary head."""
        return loss_with_aux(outputs, labels)


class AuxiliaryHead(nn.Module):
    """torchvision's: averaged to 4x4, 1x1 convolution, 1024 hidden units, dropout 0.7, logits."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.conv = ConvBnRelu(in_channels, 128, 1)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear((4, 4, 128), 1024)
        self.fc2 = classifier(1024, num_classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x):
        x = F.relu(self.fc1(self.flatten(self.conv(self.pool(x)))))
        return self.fc2(self.dropout(x))


class GoogLeNet(nn.Module):
    """torchvision's: batch norm in place of biases and response norm. Its attribute names.

    The second branch of large windows is 3x3 where the paper has 5x5: torchvision's weights were
    trained so.
    """

    def __init__(self, num_classes=1000, in_channels=3, aux_heads=False):
        super().__init__()
        self.conv1 = ConvBnRelu(in_channels, 64, 7, 2, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvBnRelu(64, 64, 1)
        self.conv3 = ConvBnRelu(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        channels = 192
        for name, (n1, reduce3, n3, reduce5, n5, projection) in MODULES.items():
            module = Parallel(
                branch1=ConvBnRelu(channels, n1, 1),
                branch2=tower(channels, (reduce3, 1), (n3, 3)),
                branch3=tower(channels, (reduce5, 1), (n5, 3)),
                branch4=nn.Sequential(
                    nn.MaxPool2d(3, 1, 1, ceil_mode=True), ConvBnRelu(channels, projection, 1)
                ),
            )
            setattr(self, f"inception{name}", module)
            channels = n1 + n3 + n5 + projection
        self.aux1 = AuxiliaryHead(512, num_classes) if aux_heads else None
        self.aux2 = AuxiliaryHead(528, num_classes) if aux_heads else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.2)
        self.fc = classifier(channels, num_classes)
        for module in self.modules():  # as torchvision
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.01)

    def forward_features(self, x, heads=None):
        """The maps of the last module, (N, 7, 7, 1024) for 224 x 224.

        heads: a list that gets the outputs of the auxiliary heads.
        """
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        for name in MODULES:
            if name in POOLED_BEFORE:
                x = getattr(self, f"maxpool{POOLED_BEFORE[name]}")(x)
            x = getattr(self, f"inception{name}")(x)
            if heads is not None and name in HEADS:
                heads.append(getattr(self, HEADS[name])(x))
        return x

    def forward(self, x):
        heads = [] if self.training and self.aux1 is not None else None
        x = self.forward_features(x, heads)
        logits = self.fc(self.dropout(self.flatten(self.avgpool(x))))
        return (logits, *heads) if heads else logits

    def loss(self, outputs, labels):
        """Cross-entropy of the logits, and in training 0.3 times that of every auxiliary head."""
        return loss_with_aux(outputs, labels)


@register(
    GOOGLENET,
    params=6_998_552,  # 13,378,280 with auxiliary heads
    macs=1_582_671_872,
    source="Szegedy et al. 2014, table 1, with the biases of Caffe's bvlc_googlenet",
    accuracy=(
        Accuracy(68.7, 88.9, "ImageNet validation, centre crop", "Caffe, bvlc_googlenet readme"),
        Accuracy(None, 93.33, "ILSVRC 2014 test, 7 models, 144 crops", "Szegedy et al. 2014"),
    ),
)
def googlenet_2014(num_classes=1000, in_channels=3, aux_heads=False):
    return GoogLeNet2014(num_classes, in_channels, aux_heads)


@register(
    GOOGLENET,
    params=6_624_904,  # 13,004,888 with auxiliary heads
    macs=1_498_376_192,
    source="Szegedy et al. 2014 as torchvision, with batch norm",
    accuracy=(
        Accuracy(69.778, 89.53, "ImageNet validation, crop 224", "torchvision IMAGENET1K_V1"),
    ),
    # torchvision's weights come from TensorFlow and see pixels in [-1, 1]
    preprocessing=Preprocessing(resize=256, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3),
)
def googlenet(num_classes=1000, in_channels=3, aux_heads=False):
    return GoogLeNet(num_classes, in_channels, aux_heads)
