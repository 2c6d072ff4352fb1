"""Channels dealt out between groups: y[..., i*groups + g] = x[..., g*(C/groups) + i].

Zhang et al. 2018 (ShuffleNet), figure 1. The inverse is the shuffle with C/groups groups.
"""

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import float_dtype, positive_int


class ChannelShuffle(Op):
    groups: int

    def infer(self, x):
        if x.ndim == 0:
            raise ShapeError("channel_shuffle: x needs a channel axis, got a 0-d tensor")
        if x.shape[-1] % self.groups:
            raise ArgumentError(
                f"channel_shuffle: groups={self.groups} must divide the {x.shape[-1]} channels of x"
            )
        return (Spec(x.shape, float_dtype("channel_shuffle", x=x)),), ()

    def forward(self, K, out, aux, x):
        if x.size:
            K.channel_shuffle(x, out[0], self.groups)

    def backward(self, K, gy):
        gx = K.empty(gy.shape, gy.dtype)
        if gy.size:
            K.channel_shuffle(gy, gx, gy.shape[-1] // self.groups)
        return (gx,)


@function(images=("x",))
def channel_shuffle(x, groups):
    """Mix the groups of a grouped convolution: x (..., C), C divisible by groups."""
    return ChannelShuffle(positive_int(groups, "channel_shuffle: groups"))(x)
