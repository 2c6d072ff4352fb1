"""What the Inception networks are made of: a convolution with batch norm, and parallel branches."""

from fastconv import functional as F
from fastconv import nn


class ConvBnRelu(nn.Module):
    """relu(bn(conv(x))), without bias, epsilon 0.001.

    padding None: zeros that keep the size at stride 1, none at stride 2 ("V" in the figures).
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=None):
        super().__init__()
        if padding is None:
            padding = "same" if stride == 1 else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x):
        return nn.conv_bn_act(x, self.conv, self.bn, "relu")


class Parallel(nn.Module):
    """All branches on the same x, their channels one behind the other: Parallel(a=..., b=...)."""

    def __init__(self, **branches):
        super().__init__()
        for name, branch in branches.items():
            setattr(self, name, branch)

    def forward(self, x):
        return F.concat([branch(x) for branch in self.children()], axis=3)


def tower(in_channels, *layers):
    """ConvBnRelus in a row, each (channels, size) or (channels, size, stride)."""
    convs = []
    for layer in layers:
        convs.append(ConvBnRelu(in_channels, *layer))
        in_channels = layer[0]
    return nn.Sequential(*convs)
