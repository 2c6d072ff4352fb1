"""Squeeze-and-excitation: y = x * gate(fc2(act(fc1(mean of x over H and W)))). Hu et al. 2018."""

from fastconv import functional as F
from fastconv.errors import ArgumentError
from fastconv.nn.conv import Conv2d
from fastconv.nn.module import Module

__all__ = ["SqueezeExcitation"]


class SqueezeExcitation(Module):
    """A weight per channel and image from all channels' means; fc1 and fc2 are 1x1 convolutions.

    activation, gate: names of functions in fastconv.functional. MobileNetV3: gate="hardsigmoid";
    EfficientNet: activation="silu".
    """

    def __init__(self, channels, squeeze_channels, activation="relu", gate="sigmoid"):
        super().__init__()
        for argument, name in (("activation", activation), ("gate", gate)):
            if not hasattr(F, name):
                raise ArgumentError(
                    f"SqueezeExcitation: {argument} must name a function of fastconv.functional,"
                    f" got {name!r}"
                )
        self.fc1 = Conv2d(channels, squeeze_channels, 1)
        self.fc2 = Conv2d(squeeze_channels, channels, 1)
        self.activation, self.gate = activation, gate

    def forward(self, x):
        s = F.adaptive_avg_pool2d(x, 1)
        s = getattr(F, self.activation)(self.fc1(s))
        return F.scale_channels(x, getattr(F, self.gate)(self.fc2(s)))

    def extra_repr(self):
        return f"activation={self.activation!r}, gate={self.gate!r}"
