"""Layers that act in training only. fc.manual_seed fixes their masks, the same on every device."""

from fastconv import functional as F
from fastconv.errors import ArgumentError
from fastconv.nn.module import Module

__all__ = ["DropPath", "Dropout"]


class _Drop(Module):
    def __init__(self, p):
        super().__init__()
        if not 0 <= p < 1:
            raise ArgumentError(f"{type(self).__name__}: p must be in [0, 1), got {p}")
        self.p = p

    def extra_repr(self):
        return f"p={self.p}"


class Dropout(_Drop):
    """In training each element is 0 with probability p, the others are divided by 1 - p.

    Srivastava et al. 2014.
    """

    def __init__(self, p=0.5):
        super().__init__(p)

    def forward(self, x):
        return F.dropout(x, self.p, self.training)


class DropPath(_Drop):
    """In training each image of the batch is 0 as a whole with probability p (stochastic depth).

    Huang et al. 2016; the others are divided by 1 - p.
    """

    def forward(self, x):
        return F.drop_path(x, self.p, self.training)
