"""Small parts that several families are built of."""

from fastconv import nn


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
