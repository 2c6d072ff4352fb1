"""Pooling layers. x (N, H, W, C) -> (N, P, Q, C)."""

from fastconv import functional as F
from fastconv.nn.conv import arguments, positive
from fastconv.nn.module import Module

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "GlobalAvgPool2d",
    "MaxPool2d",
]


class MaxPool2d(Module):
    """The largest value of each window; stride None: the window's size. ceil_mode as torch."""

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        super().__init__()
        positive("MaxPool2d", kernel_size=kernel_size)
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, x):
        return F.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self):
        return arguments(
            self.kernel_size,
            True,
            stride=(self.stride, None),
            padding=(self.padding, 0),
            dilation=(self.dilation, 1),
            ceil_mode=(self.ceil_mode, False),
        )


class AvgPool2d(Module):
    """The mean of each window; count_include_pad: padding zeros count in the divisor."""

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
    ):
        super().__init__()
        positive("AvgPool2d", kernel_size=kernel_size)
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x):
        return F.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self):
        return arguments(
            self.kernel_size,
            True,
            stride=(self.stride, None),
            padding=(self.padding, 0),
            ceil_mode=(self.ceil_mode, False),
            count_include_pad=(self.count_include_pad, True),
        )


class AdaptiveAvgPool2d(Module):
    """The mean of windows chosen so that the output is output_size (int or (P, Q))."""

    def __init__(self, output_size):
        super().__init__()
        positive("AdaptiveAvgPool2d", output_size=output_size)
        self.output_size = output_size

    def forward(self, x):
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return str(self.output_size)


class AdaptiveMaxPool2d(Module):
    """The maximum of windows chosen so that the output is output_size (int or (P, Q))."""

    def __init__(self, output_size):
        super().__init__()
        positive("AdaptiveMaxPool2d", output_size=output_size)
        self.output_size = output_size

    def forward(self, x):
        return F.adaptive_max_pool2d(x, self.output_size)

    def extra_repr(self):
        return str(self.output_size)


class GlobalAvgPool2d(Module):
    """The mean over H and W: (N, H, W, C) -> (N, C). Lin et al. 2013, "Network in network"."""

    def forward(self, x):
        return F.global_avg_pool2d(x)
