"""The layers that only LeNet-5 of 1998 has. LeCun et al. 1998, sections II.B and III.

TrainableSubsampling  y = weight[c] * sum of the 2x2 window + bias[c]
PartialConv2d         a convolution whose maps read only the maps that a table lists
RBF                   y[n,i] = sum_j (x[n,j] - centers[i,j])^2
"""

import numpy as np

from fastconv import functional as F
from fastconv.errors import ArgumentError
from fastconv.nn import init
from fastconv.nn.conv import arguments, pair, positive
from fastconv.nn.module import Module
from fastconv.nn.parameter import Parameter

__all__ = ["RBF", "PartialConv2d", "TrainableSubsampling"]


class TrainableSubsampling(Module):
    """Windows of kernel_size without overlap, summed, times one coefficient, plus one bias per map.

    x (N, H, W, channels) -> (N, H/size, W/size, channels). Starts with init.lecun_1998_.
    """

    def __init__(self, channels, kernel_size=2):
        super().__init__()
        positive("TrainableSubsampling", channels=channels, kernel_size=kernel_size)
        self.channels, self.kernel_size = channels, kernel_size
        self.weight = Parameter.empty((channels,))
        self.bias = Parameter.empty((channels,))
        rows, columns = pair(kernel_size)
        for p in (self.weight, self.bias):
            init.lecun_1998_(p, fan_in=rows * columns)

    def forward(self, x):
        return F.trainable_subsampling(x, self.weight, self.bias, self.kernel_size)

    def extra_repr(self):
        return f"{self.channels}, kernel_size={self.kernel_size}"


class PartialConv2d(Module):
    """table[k] lists the input maps that output map k reads; weight (connections, R, S).

    Connections are numbered by output map, then as listed.
    """

    def __init__(self, in_channels, table, kernel_size, stride=1, padding=0):
        super().__init__()
        positive("PartialConv2d", in_channels=in_channels, kernel_size=kernel_size)
        self.table = tuple(tuple(row) for row in table)
        for k, row in enumerate(self.table):
            if not row or len(set(row)) != len(row) or not set(row) <= set(range(in_channels)):
                raise ArgumentError(
                    f"PartialConv2d: table[{k}] must list different maps from 0 to"
                    f" {in_channels - 1}, got {row}"
                )
        self.in_channels, self.out_channels = in_channels, len(self.table)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        rows, columns = pair(kernel_size)
        self.weight = Parameter.empty((sum(map(len, self.table)), rows, columns))
        self.bias = Parameter.empty((self.out_channels,))
        fan_in = rows * columns * max(map(len, self.table))
        for p in (self.weight, self.bias):
            init.lecun_1998_(p, fan_in=fan_in)

    def forward(self, x):
        return F.partial_conv2d(
            x, self.weight, self.bias, self.table, stride=self.stride, padding=self.padding
        )

    def extra_repr(self):
        return f"{self.in_channels}, {self.out_channels}, " + arguments(
            self.kernel_size, True, stride=(self.stride, 1), padding=(self.padding, 0)
        )


class RBF(Module):
    """Squared distance of x (N, features) to each of the fixed centers (classes, features)."""

    def __init__(self, centers):
        super().__init__()
        centers = np.asarray(centers, "float32")
        if centers.ndim != 2:
            raise ArgumentError(
                f"RBF: centers must have 2 axes (classes, features), got shape {centers.shape}"
            )
        self.register_buffer("centers", centers)

    def forward(self, x):
        return F.rbf(x, self.centers)

    def extra_repr(self):
        return f"{self.centers.shape[1]}, {self.centers.shape[0]}"
