"""Fully connected layer: y = x @ weight^T + bias, x (N, in) -> (N, out), weight (out, in)."""

from math import prod

from fastconv import functional as F
from fastconv.nn import init
from fastconv.nn.conv import positive
from fastconv.nn.module import Module
from fastconv.nn.parameter import Parameter
from fastconv.nn.state_dict import ForeignView

__all__ = ["Linear"]

HWC_TO_CHW = (0, 3, 1, 2)


class Linear(Module):
    """y = linear(x, weight, bias). Starts with PyTorch's distribution (init.torch_default_).

    in_features: an int, or (H, W, C) where x is a flattened map: PyTorch flattens in the order
    C, H, W, and load_torch_state_dict permutes the columns of weight by this tuple.
    """

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_map = tuple(in_features) if isinstance(in_features, tuple | list) else None
        self.in_features = prod(in_features) if self.in_map else in_features
        self.out_features = out_features
        self.weight = Parameter.empty((out_features, self.in_features))
        self.bias = Parameter.empty((out_features,)) if bias else None
        init.torch_default_(self.weight, self.bias)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def torch_view(self, name):
        if name != "weight" or self.in_map is None or len(self.in_map) != 3:
            return None
        return ForeignView((self.out_features, *self.in_map), HWC_TO_CHW, self.weight.shape)

    def extra_repr(self):
        shown = self.in_map or self.in_features
        return f"{shown}, {self.out_features}" + (", bias=False" if self.bias is None else "")
