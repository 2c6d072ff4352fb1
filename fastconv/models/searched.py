"""What NASNet and PNASNet share: convolutions behind their relu, separable pairs, the reduction of
the map before, the classifiers.

Images (N, H, W, C). Stride 2 pads as TensorFlow does, the odd pixel at the end. Batch norm has
eps 1e-3.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.blocks import Named
from fastconv.models.head import classifier, loss_with_aux
from fastconv.models.info import Accuracy, Preprocessing


def batch_norm(channels):
    """With the constants of both NASNet and PNASNet."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class ConvNorm(nn.Module):
    """bn(conv(relu(x))); rectify=False: without relu."""

    def __init__(self, in_channels, out_channels, kernel_size=1, stride=1, rectify=True):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, bias=False)
        self.bn = batch_norm(out_channels)
        self.rectify = rectify

    def forward(self, x):
        return nn.conv_bn_act(F.relu(x) if self.rectify else x, self.conv, self.bn)


class Separable(nn.Module):
    """Twice relu, depthwise, 1x1, batch norm; the stride is in the first. Gives that + residual.

    It reads relu(x): a cell rectifies once for all that read x.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1):
        super().__init__()
        self.separable_1 = separable(in_channels, out_channels, kernel_size, stride)
        self.bn_sep_1 = batch_norm(out_channels)
        self.separable_2 = separable(out_channels, out_channels, kernel_size, 1)
        self.bn_sep_2 = batch_norm(out_channels)

    def forward(self, rectified, residual=None):
        depthwise, pointwise = self.separable_1
        y = nn.conv_bn_act(depthwise(rectified), pointwise, self.bn_sep_1, "relu")
        depthwise, pointwise = self.separable_2
        return nn.conv_bn_act(depthwise(y), pointwise, self.bn_sep_2, residual=residual)


def separable(in_channels, out_channels, kernel_size, stride):
    """Depthwise, then 1x1."""
    depthwise = nn.DepthwiseConv2d(in_channels, kernel_size, stride, "same", bias=False)
    pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return Named([("depthwise_conv2d", depthwise), ("pointwise_conv2d", pointwise)])


class Shift(nn.Module):
    """One pixel up and to the left, zeros behind."""

    def forward(self, x):
        return F.pad(x, (0, 1, 0, 1))[:, 1:, 1:]


class FactorizedReduction(nn.Module):
    """Half of H and W without losing three pixels of four: every second pixel gives half of the
    channels, the pixels diagonally between them the other half."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        half = out_channels // 2
        self.path_1 = Named(
            [
                ("avgpool", nn.AvgPool2d(1, 2, count_include_pad=False)),
                ("conv", nn.Conv2d(in_channels, half, 1, bias=False)),
            ]
        )
        self.path_2 = Named(
            [
                ("pad", Shift()),
                ("avgpool", nn.AvgPool2d(1, 2, count_include_pad=False)),
                ("conv", nn.Conv2d(in_channels, half, 1, bias=False)),
            ]
        )
        self.final_path_bn = batch_norm(2 * half)

    def forward(self, x):
        x = F.relu(x)
        return self.final_path_bn(F.concat([self.path_1(x), self.path_2(x)], axis=3))


class AuxiliaryHead(nn.Module):
    """A second classifier, for training only: relu, 5x5 average with stride 3, 1x1 to 128 channels,
    one window over the whole map to 768, linear. size: rows and columns of the map it reads."""

    def __init__(self, in_channels, size, num_classes):
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3)
        self.proj = nn.Conv2d(in_channels, 128, 1, bias=False)
        self.aux_bn0 = batch_norm(128)
        self.conv = nn.Conv2d(128, 768, (size - 5) // 3 + 1, bias=False)
        self.aux_bn1 = batch_norm(768)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x):
        x = nn.conv_bn_act(self.pool(F.relu(x)), self.proj, self.aux_bn0, "relu")
        x = nn.conv_bn_act(x, self.conv, self.aux_bn1, "relu")
        return self.fc(self.flatten(x))


class SearchedNet(nn.Module):
    """What NASNet and PNASNet share: a classifier behind the cells, and an auxiliary one.

    A network's own part is cells_of(x), which gives the last map and that of the auxiliary head.
    With that head training gives (logits, auxiliary logits), and loss adds them up.
    """

    def classify(self, channels, num_classes, dropout, aux_size):
        """Add the classifiers of a last map of `channels`; aux_size None: without auxiliary."""
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.last_linear = classifier(channels, num_classes)
        self.aux = None
        if aux_size and num_classes:
            self.aux = AuxiliaryHead(channels // 2, aux_size, num_classes)

    def forward_features(self, x):
        """The rectified maps of the last cell: (N, 7, 7, 1056) for NASNet-A mobile at 224 x 224."""
        return F.relu(self.cells_of(x)[0])

    def forward(self, x):
        x, middle = self.cells_of(x)
        logits = self.last_linear(self.dropout(self.flatten(self.avg_pool(F.relu(x)))))
        return (logits, self.aux(middle)) if self.training and self.aux is not None else logits

    def loss(self, outputs, labels):
        """Cross-entropy of the logits, and in training 0.4 times that of the auxiliary head."""
        return loss_with_aux(outputs, labels, weight=0.4)


def slim(top1, top5, size):
    """TF-slim's weights."""
    return Accuracy(
        top1,
        top5,
        f"ImageNet validation, one {size} x {size} crop",
        "TF-slim's weights, in the README of Cadene's pretrained-models.pytorch",
    )


def photographs(resize, crop):
    """What those weights are fed."""
    return Preprocessing(resize, crop, "bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
