"""BN-Inception. Ioffe and Szegedy 2015 (arXiv 1502.03167), "Batch normalization".

GoogLeNet with batch norm behind every convolution and two 3x3 in place of the 5x5. In 3c and 4e the
windows have stride 2 and the pooled input passes through. Convolutions keep their biases, and
names are those of the Caffe model, whose published weights expect B, G, R from 0 to 255 less 104,
117, 128. Images (N, H, W, C), 224 x 224; a map of odd size in front of 3c or 4e does not fit.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture
from fastconv.models.registry import register

BN_INCEPTION = Architecture(
    name="BN-Inception",
    title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate"
    " Shift",
    authors="Ioffe, Szegedy",
    year=2015,
    link="arXiv 1502.03167",
    introduced="every layer's inputs normalised by the statistics of the mini-batch",
    descends_from=("GoogLeNet",),
)

# Ioffe and Szegedy 2015, figure 5, as the Caffe model counts. 0: no such branch; then stride 2
# module 1x1  reduce 3x3  reduce double 3x3 pool  projection
MODULES = {
    "3a": (64,  64,  64,  64,  96,        "avg", 32),
    "3b": (64,  64,  96,  64,  96,        "avg", 64),
    "3c": (0,   128, 160, 64,  96,        "max", 0),
    "4a": (224, 64,  96,  96,  128,       "avg", 128),
    "4b": (192, 96,  128, 96,  128,       "avg", 128),
    "4c": (160, 128, 160, 128, 160,       "avg", 128),
    "4d": (96,  128, 192, 160, 192,       "avg", 128),
    "4e": (0,   128, 192, 192, 256,       "max", 0),
    "5a": (352, 192, 320, 160, 224,       "avg", 128),
    "5b": (352, 192, 320, 192, 224,       "max", 128),
}  # fmt: skip


class Concat(nn.Module):
    """The channels of all inputs, one behind the other."""

    def forward(self, *xs):
        return F.concat(xs, axis=3)


class BNInception(nn.Module):
    """Stem, ten modules, global average pooling, one linear layer.

    Of module 3a: inception_3a_1x1, _3x3_reduce, _3x3, _double_3x3_reduce, _double_3x3_1,
    _double_3x3_2, _pool, _pool_proj, each convolution with a NAME_bn, and _output.
    """

    def __init__(self, num_classes=1000, in_channels=3):
        super().__init__()
        self.add("conv1_7x7_s2", in_channels, 64, 7, 2)
        self.pool1_3x3_s2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.add("conv2_3x3_reduce", 64, 64, 1)
        self.add("conv2_3x3", 64, 192, 3)
        self.pool2_3x3_s2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        channels = 192
        for module, row in MODULES.items():
            channels = self.add_inception(f"inception_{module}", channels, *row)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.last_linear = classifier(channels, num_classes)

    def add(self, name, in_channels, out_channels, size, stride=1):
        """A convolution and its batch norm."""
        conv = nn.Conv2d(in_channels, out_channels, size, stride, size // 2)
        setattr(self, name, conv)
        setattr(self, f"{name}_bn", nn.BatchNorm2d(out_channels))

    def add_inception(
        self, name, channels, n1, reduce3, n3, reduce_double, double, pool, projection
    ):
        """The layers of one Inception module; the number of its output channels."""
        stride = 1 if projection else 2
        if n1:
            self.add(f"{name}_1x1", channels, n1, 1)
        self.add(f"{name}_3x3_reduce", channels, reduce3, 1)
        self.add(f"{name}_3x3", reduce3, n3, 3, stride)
        self.add(f"{name}_double_3x3_reduce", channels, reduce_double, 1)
        self.add(f"{name}_double_3x3_1", reduce_double, double, 3)
        self.add(f"{name}_double_3x3_2", double, double, 3, stride)
        kind = nn.AvgPool2d if pool == "avg" else nn.MaxPool2d
        padding = 1 if projection else 0
        setattr(self, f"{name}_pool", kind(3, stride, padding, ceil_mode=True))
        if projection:
            self.add(f"{name}_pool_proj", channels, projection, 1)
        setattr(self, f"{name}_output", Concat())
        return n1 + n3 + double + (projection or channels)

    def conv(self, name, x):
        """relu(bn(conv(x))) of the layer of that name."""
        return nn.conv_bn_act(x, getattr(self, name), getattr(self, f"{name}_bn"), "relu")

    def inception(self, name, x):
        """The module of that name: (N, H, W, C) -> (N, H/stride, W/stride, K)."""
        reduced = self.conv(f"{name}_3x3_reduce", x)
        double = self.conv(f"{name}_double_3x3_reduce", x)
        double = self.conv(f"{name}_double_3x3_1", double)
        branches = [
            self.conv(f"{name}_3x3", reduced),
            self.conv(f"{name}_double_3x3_2", double),
            getattr(self, f"{name}_pool")(x),
        ]
        if hasattr(self, f"{name}_1x1"):
            branches.insert(0, self.conv(f"{name}_1x1", x))
            branches[-1] = self.conv(f"{name}_pool_proj", branches[-1])
        return getattr(self, f"{name}_output")(*branches)

    def forward_features(self, x):
        """The maps of the last module, (N, 7, 7, 1024) for 224 x 224."""
        x = self.pool1_3x3_s2(self.conv("conv1_7x7_s2", x))
        x = self.conv("conv2_3x3_reduce", x)
        x = self.pool2_3x3_s2(self.conv("conv2_3x3", x))
        for module in MODULES:
            x = self.inception(f"inception_{module}", x)
        return x

    def forward(self, x):
        x = self.flatten(self.global_pool(self.forward_features(x)))
        return self.last_linear(x)


@register(
    BN_INCEPTION,
    params=11_295_240,
    macs=2_032_600_064,
    source="Ioffe and Szegedy 2015, figure 5, as the Caffe model in Cadene's port",
    accuracy=(Accuracy(73.524, 91.562, "ImageNet validation", "Cadene/pretrained-models.pytorch"),),
)
def bn_inception(num_classes=1000, in_channels=3):
    return BNInception(num_classes, in_channels)
