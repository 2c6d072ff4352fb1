"""conv_bn_act: the modules conv and bn as one op, z = act(bn(conv(x)) + residual)."""

from fastconv import functional as F
from fastconv.core import state
from fastconv.errors import ArgumentError
from fastconv.nn.conv import Conv2d
from fastconv.nn.norm import BatchNorm2d

__all__ = ["conv_bn_act"]


def conv_bn_act(x, conv, bn, act=None, residual=None):
    """act(bn(conv(x)) + residual), computed by as few kernels as possible.

    act: None, an activation's name ("relu") or a backend.Activation; residual: None or a tensor
    of the output's shape. Running statistics are updated as bn itself does. A Trace books the op
    under conv.
    """
    if not isinstance(conv, Conv2d) or not isinstance(bn, BatchNorm2d):
        raise ArgumentError(
            "conv_bn_act: expected an nn.Conv2d and an nn.BatchNorm2d, got"
            f" {type(conv).__name__} and {type(bn).__name__}"
        )
    trace = state.trace
    if trace is not None:
        trace.modules.append(conv)
    try:
        return F.conv_bn_act(
            x,
            conv.weight,
            conv.bias,
            bn.weight,
            bn.bias,
            bn.running_mean,
            bn.running_var,
            residual,
            act=act,
            training=bn.training,
            momentum=bn.next_momentum(),
            eps=bn.eps,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
        )
    finally:
        if trace is not None:
            trace.modules.pop()
