"""What networks of several families are made of."""

from fastconv import nn

FUSED = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Hardswish: "hardswish", nn.SiLU: "silu"}


class FusedSequential(nn.Sequential):
    """Sequential in which convolution, batch norm and activation in a row run as one op.

    Called with a residual, it adds that behind its last batch norm, before the activation if one
    follows; its last layers then are convolution and batch norm, or another FusedSequential.
    """

    def forward(self, x, residual=None):
        layers = list(self)
        while layers:
            match layers:
                case [nn.Conv2d() as conv, nn.BatchNorm2d() as bn, *layers]:
                    act = FUSED.get(type(layers[0])) if layers else None
                    layers = layers[1:] if act else layers
                    x = nn.conv_bn_act(x, conv, bn, act, None if layers else residual)
                case [FusedSequential() as last]:
                    return last(x, residual)
                case [layer, *layers]:
                    x = layer(x)
        return x


class ConvNorm(nn.Sequential):
    """act(bn(conv(x)) + residual): "0" is the convolution, without bias, "1" the batch norm.

    Padding keeps the size at stride 1. act: an activation's name, or None.
    """

    def __init__(self, in_channels, out_channels, kernel_size=1, stride=1, groups=1, act=None):
        super().__init__(
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding=(kernel_size - 1) // 2,
                groups=groups,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels),
        )
        self.act = act

    def forward(self, x, residual=None):
        conv, bn = self
        return nn.conv_bn_act(x, conv, bn, self.act, residual)


class Named(nn.Sequential):
    """A Sequential whose modules have names: Named([("a", module), ...])."""

    def __init__(self, modules):
        super().__init__()
        for name, module in modules:
            setattr(self, name, module)


def divisible(channels, by=8):
    """The multiple of `by` nearest to channels, at least `by`, and never 10 % below channels.

    The rule of TensorFlow's MobileNets, which MnasNet and EfficientNet follow.
    """
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded
