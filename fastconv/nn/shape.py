"""Layers without parameters that rearrange or resize."""

from math import prod

from fastconv import functional as F
from fastconv.nn.module import Module

__all__ = ["ChannelShuffle", "Flatten", "Identity", "Upsample"]


class Identity(Module):
    """x."""

    def forward(self, x):
        return x


class Flatten(Module):
    """(N, H, W, C) -> (N, H*W*C). PyTorch's order is C, H, W: see Linear's tuple."""

    def forward(self, x):
        return x.reshape(x.shape[0], prod(x.shape[1:]))


class ChannelShuffle(Module):
    """Interleaves `groups` blocks of channels. Zhang et al. 2018, ShuffleNet."""

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        return F.channel_shuffle(x, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"


class Upsample(Module):
    """Resize H and W to `size`, or by `scale_factor`; mode "nearest" or "bilinear", as torch."""

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=False):
        super().__init__()
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x):
        return F.resize(
            x,
            size=self.size,
            scale_factor=self.scale_factor,
            mode=self.mode,
            align_corners=self.align_corners,
        )

    def extra_repr(self):
        target = f"size={self.size}" if self.size else f"scale_factor={self.scale_factor}"
        return f"{target}, mode={self.mode!r}"
