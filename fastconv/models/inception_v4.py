"""Inception-v4 and Inception-ResNet-v2. Szegedy et al. 2016 (arXiv 1602.07261).

    inception_v4         a larger Inception-v3 of few kinds of module, figure 9
    inception_resnet_v2  y = relu(x + scale * conv1x1(branches of x)), figure 15

Images (N, H, W, C), 299 x 299. Average poolings do not count the padding. Attribute names, and
numbers inside `features`, are those of timm's ports of the TensorFlow models.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.inception import ConvBnRelu, Parallel, tower
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

_TITLE = "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning"
_AUTHORS = "Szegedy, Ioffe, Vanhoucke, Alemi"

INCEPTION_V4 = Architecture(
    name="Inception-v4",
    title=_TITLE,
    authors=_AUTHORS,
    year=2016,
    link="arXiv 1602.07261",
    introduced="one kind of module per resolution, repeated",
    descends_from=("Inception-v3",),
)
INCEPTION_RESNET = Architecture(
    name="Inception-ResNet",
    title=_TITLE,
    authors=_AUTHORS,
    year=2016,
    link="arXiv 1602.07261",
    introduced="Inception modules as scaled residuals",
    descends_from=("Inception-v4", "ResNet"),
)


def averaged(in_channels, projection):
    """3x3 average pooling that counts no padding, and a 1x1 convolution."""
    return nn.Sequential(
        nn.AvgPool2d(3, 1, 1, count_include_pad=False), ConvBnRelu(in_channels, projection, 1)
    )


# ---- Inception-v4


def stem(in_channels):
    """The first six entries of `features`: 299 x 299 to 35 x 35 x 384 (figure 3)."""
    return [
        ConvBnRelu(in_channels, 32, 3, 2),
        ConvBnRelu(32, 32, 3, padding=0),
        ConvBnRelu(32, 64, 3),
        Parallel(maxpool=nn.MaxPool2d(3, 2), conv=ConvBnRelu(64, 96, 3, 2)),
        Parallel(
            branch0=nn.Sequential(ConvBnRelu(160, 64, 1), ConvBnRelu(64, 96, 3, padding=0)),
            branch1=nn.Sequential(
                *tower(160, (64, 1), (64, (1, 7)), (64, (7, 1))),
                ConvBnRelu(64, 96, 3, padding=0),
            ),
        ),
        Parallel(conv=ConvBnRelu(192, 192, 3, 2), maxpool=nn.MaxPool2d(3, 2)),
    ]


def inception_a():
    """35 x 35 x 384 (figure 4)."""
    return Parallel(
        branch0=ConvBnRelu(384, 96, 1),
        branch1=tower(384, (64, 1), (96, 3)),
        branch2=tower(384, (64, 1), (96, 3), (96, 3)),
        branch3=averaged(384, 96),
    )


def reduction_a(in_channels, k, l, m, n):  # noqa: E741
    """35 x 35 to 17 x 17 (figure 7); k, l, m, n as in table 1."""
    return Parallel(
        branch0=ConvBnRelu(in_channels, n, 3, 2),
        branch1=tower(in_channels, (k, 1), (l, 3), (m, 3, 2)),
        branch2=nn.MaxPool2d(3, 2),
    )


def inception_b():
    """17 x 17 x 1024 (figure 5)."""
    return Parallel(
        branch0=ConvBnRelu(1024, 384, 1),
        branch1=tower(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
        branch2=tower(1024, (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
        branch3=averaged(1024, 128),
    )


def reduction_b():
    """17 x 17 to 8 x 8 (figure 8)."""
    return Parallel(
        branch0=tower(1024, (192, 1), (192, 3, 2)),
        branch1=tower(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)),
        branch2=nn.MaxPool2d(3, 2),
    )


class InceptionC(nn.Module):
    """8 x 8 x 1536: 1x3 and 3x1 side by side end two of the branches (figure 6)."""

    def __init__(self):
        super().__init__()
        self.branch0 = ConvBnRelu(1536, 256, 1)
        self.branch1_0 = ConvBnRelu(1536, 384, 1)
        self.branch1_1a = ConvBnRelu(384, 256, (1, 3))
        self.branch1_1b = ConvBnRelu(384, 256, (3, 1))
        self.branch2_0 = ConvBnRelu(1536, 384, 1)
        self.branch2_1 = ConvBnRelu(384, 448, (3, 1))
        self.branch2_2 = ConvBnRelu(448, 512, (1, 3))
        self.branch2_3a = ConvBnRelu(512, 256, (1, 3))
        self.branch2_3b = ConvBnRelu(512, 256, (3, 1))
        self.branch3 = averaged(1536, 256)

    def forward(self, x):
        one = self.branch1_0(x)
        two = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        branches = [
            self.branch0(x),
            self.branch1_1a(one),
            self.branch1_1b(one),
            self.branch2_3a(two),
            self.branch2_3b(two),
            self.branch3(x),
        ]
        return F.concat(branches, axis=3)


class InceptionV4(nn.Module):
    """Stem, 4 modules A, 7 B, 3 C with reductions between, global average pooling, linear.

    dropout: before the linear layer; 0.2 in the paper, none in timm.
    """

    def __init__(self, num_classes=1000, in_channels=3, dropout=0.0):
        super().__init__()
        self.features = nn.Sequential(
            *stem(in_channels),
            *(inception_a() for _ in range(4)),
            reduction_a(384, 192, 224, 256, 384),
            *(inception_b() for _ in range(7)),
            reduction_b(),
            *(InceptionC() for _ in range(3)),
        )
        self.global_pool = nn.GlobalAvgPool2d()
        self.dropout = nn.Dropout(dropout)
        self.last_linear = classifier(1536, num_classes)

    def forward_features(self, x):
        """The maps of the last module, (N, 8, 8, 1536) for 299 x 299."""
        return self.features(x)

    def forward(self, x):
        return self.last_linear(self.dropout(self.global_pool(self.features(x))))


# ---- Inception-ResNet-v2


class Residual(nn.Module):
    """relu(x + scale * conv2d(branches of x)): conv2d is 1x1, has a bias and no batch norm.

    branches: name -> module; width: channels of all together. relu=False: the sum itself.
    """

    def __init__(self, channels, branches, width, scale, relu=True):
        super().__init__()
        for name, branch in branches.items():
            setattr(self, name, branch)
        self.conv2d = nn.Conv2d(width, channels, 1)
        self.scale, self.relu = scale, relu

    def forward(self, x):
        *branches, conv2d = self.children()
        y = conv2d(F.concat([branch(x) for branch in branches], axis=3)) * self.scale
        return F.add_act(x, y, "relu") if self.relu else x + y


def block35():
    """35 x 35 x 320 (figure 16)."""
    branches = {
        "branch0": ConvBnRelu(320, 32, 1),
        "branch1": tower(320, (32, 1), (32, 3)),
        "branch2": tower(320, (32, 1), (48, 3), (64, 3)),
    }
    return Residual(320, branches, 128, scale=0.17)


def block17():
    """17 x 17 x 1088 (figure 17)."""
    branches = {
        "branch0": ConvBnRelu(1088, 192, 1),
        "branch1": tower(1088, (128, 1), (160, (1, 7)), (192, (7, 1))),
    }
    return Residual(1088, branches, 384, scale=0.1)


def block8(scale=0.2, relu=True):
    """8 x 8 x 2080 (figure 19)."""
    branches = {
        "branch0": ConvBnRelu(2080, 192, 1),
        "branch1": tower(2080, (192, 1), (224, (1, 3)), (256, (3, 1))),
    }
    return Residual(2080, branches, 448, scale, relu)


class InceptionResNetV2(nn.Module):
    """Stem, 10 blocks of 35 x 35, 20 of 17 x 17, 10 of 8 x 8, a 1x1 convolution, linear.

    dropout: before the linear layer; 0.2 in the paper, none in timm.
    """

    def __init__(self, num_classes=1000, in_channels=3, dropout=0.0):
        super().__init__()
        self.conv2d_1a = ConvBnRelu(in_channels, 32, 3, 2)
        self.conv2d_2a = ConvBnRelu(32, 32, 3, padding=0)
        self.conv2d_2b = ConvBnRelu(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = ConvBnRelu(64, 80, 1)
        self.conv2d_4a = ConvBnRelu(80, 192, 3, padding=0)
        self.maxpool_5a = nn.MaxPool2d(3, 2)
        self.mixed_5b = Parallel(
            branch0=ConvBnRelu(192, 96, 1),
            branch1=tower(192, (48, 1), (64, 5)),
            branch2=tower(192, (64, 1), (96, 3), (96, 3)),
            branch3=averaged(192, 64),
        )
        self.repeat = nn.Sequential(*(block35() for _ in range(10)))
        self.mixed_6a = reduction_a(320, 256, 256, 384, 384)
        self.repeat_1 = nn.Sequential(*(block17() for _ in range(20)))
        self.mixed_7a = Parallel(
            branch0=tower(1088, (256, 1), (384, 3, 2)),
            branch1=tower(1088, (256, 1), (288, 3, 2)),
            branch2=tower(1088, (256, 1), (288, 3), (320, 3, 2)),
            branch3=nn.MaxPool2d(3, 2),
        )
        self.repeat_2 = nn.Sequential(*(block8() for _ in range(9)))
        self.block8 = block8(scale=1.0, relu=False)
        self.conv2d_7b = ConvBnRelu(2080, 1536, 1)
        self.global_pool = nn.GlobalAvgPool2d()
        self.dropout = nn.Dropout(dropout)
        self.classif = classifier(1536, num_classes)

    def forward_features(self, x):
        """The maps of the last convolution, (N, 8, 8, 1536) for 299 x 299."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.maxpool_3a(x)
        x = self.conv2d_4a(self.conv2d_3b(x))
        x = self.maxpool_5a(x)
        x = self.repeat(self.mixed_5b(x))
        x = self.repeat_1(self.mixed_6a(x))
        x = self.repeat_2(self.mixed_7a(x))
        return self.conv2d_7b(self.block8(x))

    def forward(self, x):
        return self.classif(self.dropout(self.global_pool(self.forward_features(x))))


_TIMM = "timm's results on ImageNet"


@register(
    INCEPTION_V4,
    params=42_679_816,
    macs=12_253_974_624,
    input_shape=(299, 299, 3),
    source="Szegedy et al. 2016, figure 9",
    accuracy=(
        Accuracy(80.2, 95.3, "ImageNet validation", "TF-slim's table, after Cadene's readme"),
        Accuracy(80.144, 94.982, "ImageNet validation, crop 299", f"{_TIMM}: tf_in1k"),
    ),
    preprocessing=Preprocessing(341, 299, "bicubic", (0.5,) * 3, (0.5,) * 3),
    weights="timm/inception_v4.tf_in1k",
)
def inception_v4(num_classes=1000, in_channels=3, dropout=0.0):
    return InceptionV4(num_classes, in_channels, dropout)


@register(
    INCEPTION_RESNET,
    params=55_843_464,
    macs=13_155_794_016,
    input_shape=(299, 299, 3),
    source="Szegedy et al. 2016, figure 15, with the stem, widths and scales of TF-slim",
    accuracy=(
        Accuracy(80.4, 95.3, "ImageNet validation", "TF-slim's table, after Cadene's readme"),
        Accuracy(80.434, 95.312, "ImageNet validation, crop 299", f"{_TIMM}: tf_in1k"),
        Accuracy(79.998, 94.94, "ImageNet validation, crop 299", f"{_TIMM}: tf_ens_adv_in1k"),
    ),
    preprocessing=Preprocessing(333, 299, "bicubic", (0.5,) * 3, (0.5,) * 3),
    weights="timm/inception_resnet_v2.tf_in1k",
)
def inception_resnet_v2(num_classes=1000, in_channels=3, dropout=0.0):
    return InceptionResNetV2(num_classes, in_channels, dropout)
