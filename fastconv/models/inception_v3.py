"""Inception-v3. Szegedy et al. 2015 (arXiv 1512.00567), "Rethinking the Inception architecture".

Large windows are factorised: 5x5 into two 3x3, 7x7 into 1x7 and 7x1. Images (N, H, W, C), 299 x
299. Attribute names are torchvision's. With aux_heads=True training gives (logits, aux), and
model.loss adds them up.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.head import classifier, loss_with_aux
from fastconv.models.inception import ConvBnRelu
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

INCEPTION_V3 = Architecture(
    name="Inception-v3",
    title="Rethinking the Inception Architecture for Computer Vision",
    authors="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna",
    year=2015,
    link="arXiv 1512.00567",
    introduced="factorised windows (1x7 and 7x1), label smoothing",
    descends_from=("BN-Inception",),
)


def average(x):
    """3x3, stride 1; the padding counts, which it does not in TensorFlow's original."""
    return F.avg_pool2d(x, 3, stride=1, padding=1)


class InceptionA(nn.Module):
    """1x1; 5x5; 3x3, 3x3; pooling: at 35 x 35 (figure 5, with a 5x5 still in it)."""

    def __init__(self, in_channels, projection):
        super().__init__()
        self.branch1x1 = ConvBnRelu(in_channels, 64, 1)
        self.branch5x5_1 = ConvBnRelu(in_channels, 48, 1)
        self.branch5x5_2 = ConvBnRelu(48, 64, 5)
        self.branch3x3dbl_1 = ConvBnRelu(in_channels, 64, 1)
        self.branch3x3dbl_2 = ConvBnRelu(64, 96, 3)
        self.branch3x3dbl_3 = ConvBnRelu(96, 96, 3)
        self.branch_pool = ConvBnRelu(in_channels, projection, 1)

    def forward(self, x):
        branches = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(average(x)),
        ]
        return F.concat(branches, axis=3)


class InceptionB(nn.Module):
    """35 x 35 to 17 x 17: windows and pooling of stride 2 in parallel (figure 10)."""

    def __init__(self, in_channels):
        super().__init__()
        self.branch3x3 = ConvBnRelu(in_channels, 384, 3, 2)
        self.branch3x3dbl_1 = ConvBnRelu(in_channels, 64, 1)
        self.branch3x3dbl_2 = ConvBnRelu(64, 96, 3)
        self.branch3x3dbl_3 = ConvBnRelu(96, 96, 3, 2)

    def forward(self, x):
        branches = [
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, 3, stride=2),
        ]
        return F.concat(branches, axis=3)


class InceptionC(nn.Module):
    """1x1; 1x7, 7x1; the same twice; pooling: at 17 x 17 (figure 6, n = 7)."""

    def __init__(self, in_channels, width):
        super().__init__()
        self.branch1x1 = ConvBnRelu(in_channels, 192, 1)
        self.branch7x7_1 = ConvBnRelu(in_channels, width, 1)
        self.branch7x7_2 = ConvBnRelu(width, width, (1, 7))
        self.branch7x7_3 = ConvBnRelu(width, 192, (7, 1))
        self.branch7x7dbl_1 = ConvBnRelu(in_channels, width, 1)
        self.branch7x7dbl_2 = ConvBnRelu(width, width, (7, 1))
        self.branch7x7dbl_3 = ConvBnRelu(width, width, (1, 7))
        self.branch7x7dbl_4 = ConvBnRelu(width, width, (7, 1))
        self.branch7x7dbl_5 = ConvBnRelu(width, 192, (1, 7))
        self.branch_pool = ConvBnRelu(in_channels, 192, 1)

    def forward(self, x):
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        branches = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(average(x)),
        ]
        return F.concat(branches, axis=3)


class InceptionD(nn.Module):
    """17 x 17 to 8 x 8."""

    def __init__(self, in_channels):
        super().__init__()
        self.branch3x3_1 = ConvBnRelu(in_channels, 192, 1)
        self.branch3x3_2 = ConvBnRelu(192, 320, 3, 2)
        self.branch7x7x3_1 = ConvBnRelu(in_channels, 192, 1)
        self.branch7x7x3_2 = ConvBnRelu(192, 192, (1, 7))
        self.branch7x7x3_3 = ConvBnRelu(192, 192, (7, 1))
        self.branch7x7x3_4 = ConvBnRelu(192, 192, 3, 2)

    def forward(self, x):
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        branches = [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(seven),
            F.max_pool2d(x, 3, stride=2),
        ]
        return F.concat(branches, axis=3)


class InceptionE(nn.Module):
    """1x3 and 3x1 side by side, not in a row: at 8 x 8 (figure 7)."""

    def __init__(self, in_channels):
        super().__init__()
        self.branch1x1 = ConvBnRelu(in_channels, 320, 1)
        self.branch3x3_1 = ConvBnRelu(in_channels, 384, 1)
        self.branch3x3_2a = ConvBnRelu(384, 384, (1, 3))
        self.branch3x3_2b = ConvBnRelu(384, 384, (3, 1))
        self.branch3x3dbl_1 = ConvBnRelu(in_channels, 448, 1)
        self.branch3x3dbl_2 = ConvBnRelu(448, 384, 3)
        self.branch3x3dbl_3a = ConvBnRelu(384, 384, (1, 3))
        self.branch3x3dbl_3b = ConvBnRelu(384, 384, (3, 1))
        self.branch_pool = ConvBnRelu(in_channels, 192, 1)

    def forward(self, x):
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(average(x)),
        ]
        return F.concat(branches, axis=3)


class AuxiliaryHead(nn.Module):
    """5x5/3 average pooling (17 -> 5), 1x1 and 5x5 convolution to 1x1, logits."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv0 = ConvBnRelu(in_channels, 128, 1)
        self.conv1 = ConvBnRelu(128, 768, 5, padding=0)
        self.flatten = nn.Flatten()
        self.fc = classifier(768, num_classes)

    def forward(self, x):
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, stride=3)))
        return self.fc(self.flatten(F.adaptive_avg_pool2d(x, 1)))


class InceptionV3(nn.Module):
    """Stem to 35 x 35, three modules A, B, four C, D, two E, global average pooling, linear."""

    def __init__(self, num_classes=1000, in_channels=3, aux_heads=False):
        super().__init__()
        self.Conv2d_1a_3x3 = ConvBnRelu(in_channels, 32, 3, 2)
        self.Conv2d_2a_3x3 = ConvBnRelu(32, 32, 3, padding=0)
        self.Conv2d_2b_3x3 = ConvBnRelu(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = ConvBnRelu(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvBnRelu(80, 192, 3, padding=0)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = AuxiliaryHead(768, num_classes) if aux_heads else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.flatten = nn.Flatten()
        self.fc = classifier(2048, num_classes)
        self.initialise()

    def initialise(self):
        """As torchvision: normal, cut off at 2; std 0.1, in the auxiliary head 0.01 and 0.001."""
        for path, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                stds = {"AuxLogits.conv1.conv": 0.01, "AuxLogits.fc": 0.001}
                nn.init.trunc_normal_(module.weight, std=stds.get(path, 0.1))

    def until_6e(self, x):
        """The maps that the auxiliary head reads, (N, 17, 17, 768) for 299 x 299."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.maxpool1(x)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = self.maxpool2(x)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)
        return self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))

    def from_7a(self, x):
        """The rest of the maps."""
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))

    def forward_features(self, x):
        """The maps of the last module, (N, 8, 8, 2048) for 299 x 299."""
        return self.from_7a(self.until_6e(x))

    def forward(self, x):
        x = self.until_6e(x)
        heads = (self.AuxLogits(x),) if self.training and self.AuxLogits is not None else ()
        x = self.flatten(self.dropout(self.avgpool(self.from_7a(x))))
        logits = self.fc(x)
        return (logits, *heads) if heads else logits

    def loss(self, outputs, labels):
        """Cross-entropy of the logits, and in training 0.3 times that of the auxiliary head."""
        return loss_with_aux(outputs, labels)


@register(
    INCEPTION_V3,
    params=23_834_568,  # 27,161,264 with the auxiliary head
    macs=5_713_216_096,
    input_shape=(299, 299, 3),
    source="Szegedy et al. 2015, table 1, as torchvision",
    accuracy=(
        Accuracy(77.294, 93.45, "ImageNet validation, crop 299", "torchvision IMAGENET1K_V1"),
        Accuracy(78.0, 93.9, "ImageNet validation", "TF-slim readme"),
    ),
    # torchvision's weights come from TensorFlow and see pixels in [-1, 1]
    preprocessing=Preprocessing(resize=342, crop=299, mean=(0.5,) * 3, std=(0.5,) * 3),
    weights="timm/inception_v3.tv_in1k",
)
def inception_v3(num_classes=1000, in_channels=3, aux_heads=False):
    return InceptionV3(num_classes, in_channels, aux_heads)
