"""Convolution layers. x (N, H, W, C) -> (N, P, Q, K); weights OHWI (K, R, S, C/groups)."""

from fastconv import functional as F
from fastconv.errors import ArgumentError
from fastconv.nn import init
from fastconv.nn.module import Module
from fastconv.nn.parameter import Parameter
from fastconv.nn.state_dict import ForeignView

__all__ = ["Conv2d", "ConvTranspose2d", "DepthwiseConv2d", "SeparableConv2d"]

OHWI_TO_OIHW = (0, 3, 1, 2)


def pair(value):
    """(value, value) of an int; a pair as it is. The ops check the values."""
    return (value, value) if isinstance(value, int) else tuple(value)


def divided(name, groups, **channels):
    """ArgumentError unless groups is positive and divides all of the channels."""
    if not isinstance(groups, int) or groups < 1 or any(c % groups for c in channels.values()):
        raise ArgumentError(
            f"{name}: groups={groups} must divide "
            + " and ".join(f"{argument}={c}" for argument, c in channels.items())
        )
    return groups


def positive(name, **values):
    """ArgumentError unless every value is an int (or a tuple of ints) of at least 1."""
    for argument, value in values.items():
        sizes = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(v, int) and v >= 1 for v in sizes):
            raise ArgumentError(f"{name}: {argument} must be at least 1, got {value!r}")


def arguments(kernel_size, bias, **defaults):
    """ "kernel_size=3, padding=1": those that differ; defaults: {name: (value, default)}."""
    shown = [f"{k}={v!r}" for k, (v, default) in defaults.items() if v != default]
    return ", ".join([f"kernel_size={kernel_size}", *shown, *([] if bias else ["bias=False"])])


class Conv2d(Module):
    """y = conv2d(x, weight, bias). Starts with PyTorch's distribution (init.torch_default_).

    padding: int, (h, w), (top, bottom, left, right), "same" or "valid". weight (K, R, S, C/groups).
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
    ):
        super().__init__()
        positive(
            "Conv2d", in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size
        )
        divided("Conv2d", groups, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.groups = dilation, groups
        self.weight = Parameter.empty((out_channels, *pair(kernel_size), in_channels // groups))
        self.bias = Parameter.empty((out_channels,)) if bias else None
        init.torch_default_(self.weight, self.bias)

    def forward(self, x):
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def torch_view(self, name):
        if name != "weight":
            return None
        k, r, s, c = shape = self.weight.shape
        return ForeignView(shape, OHWI_TO_OIHW, (k, c, r, s))

    def extra_repr(self):
        return f"{self.in_channels}, {self.out_channels}, " + arguments(
            self.kernel_size,
            self.bias is not None,
            stride=(self.stride, 1),
            padding=(self.padding, 0),
            dilation=(self.dilation, 1),
            groups=(self.groups, 1),
        )


class DepthwiseConv2d(Conv2d):
    """`multiplier` filters per channel: Conv2d with groups = channels. Howard et al. 2017."""

    def __init__(
        self, channels, kernel_size, stride=1, padding=0, dilation=1, multiplier=1, bias=True
    ):
        positive("DepthwiseConv2d", channels=channels, multiplier=multiplier)
        super().__init__(
            channels,
            channels * multiplier,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=channels,
            bias=bias,
        )


class SeparableConv2d(Module):
    """Depthwise, then 1x1, nothing between (Chollet 2017; MobileNet has BatchNorm, ReLU6 between).

    The bias belongs to the 1x1, as in Keras.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, bias=True
    ):
        super().__init__()
        self.depthwise = DepthwiseConv2d(
            in_channels, kernel_size, stride, padding, dilation, bias=False
        )
        self.pointwise = Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class ConvTranspose2d(Module):
    """Transposed convolution: the input gradient of Conv2d(out_channels, in_channels, ...).

    weight (in_channels, R, S, out_channels/groups): OHWI of that Conv2d. output_padding picks one
    of the sizes that a stride rounds to the same. Dumoulin and Visin 2016, chapter 4.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
    ):
        super().__init__()
        name = "ConvTranspose2d"
        positive(name, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size)
        divided(name, groups, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.output_padding, self.groups, self.dilation = output_padding, groups, dilation
        self.weight = Parameter.empty((in_channels, *pair(kernel_size), out_channels // groups))
        self.bias = Parameter.empty((out_channels,)) if bias else None
        init.torch_default_(self.weight, self.bias)

    def forward(self, x):
        return F.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            groups=self.groups,
            dilation=self.dilation,
        )

    def torch_view(self, name):
        if name != "weight":
            return None
        c, r, s, k = shape = self.weight.shape
        return ForeignView(shape, OHWI_TO_OIHW, (c, k, r, s))

    def extra_repr(self):
        return f"{self.in_channels}, {self.out_channels}, " + arguments(
            self.kernel_size,
            self.bias is not None,
            stride=(self.stride, 1),
            padding=(self.padding, 0),
            output_padding=(self.output_padding, 0),
            dilation=(self.dilation, 1),
            groups=(self.groups, 1),
        )
