"""Gives Tensor its operators and methods: x + y, x @ y, x[...], x.sum(axis=...), ...

The one place where a floor reaches into a lower one, so that Tensor itself needs to know no op.
"""

from fastconv.core import Tensor
from fastconv.ops import (
    arithmetic,
    cast,
    clip,
    comparisons,
    elementwise,
    indexing,
    matmul,
    reductions,
    reshape,
    selection,
    transpose,
    var,
)
from fastconv.ops.broadcast import is_operand


def _operator(f):
    def call(x, y):
        return f(x, y) if type(y) is Tensor or is_operand(y) else NotImplemented

    call.__doc__ = f.__doc__
    return call


def _reflected(f):
    def call(x, y):
        return f(y, x) if is_operand(y) else NotImplemented

    return call


_BINARY = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "pow": arithmetic.pow,
}

_COMPARISONS = {
    "eq": comparisons.equal,
    "ne": comparisons.not_equal,
    "lt": comparisons.less,
    "le": comparisons.less_equal,
    "gt": comparisons.greater,
    "ge": comparisons.greater_equal,
}

_METHODS = (
    cast.astype,
    clip.clip,
    elementwise.abs,
    elementwise.exp,
    elementwise.log,
    elementwise.sqrt,
    reductions.sum,
    reductions.mean,
    reductions.max,
    reductions.min,
    reshape.expand_dims,
    reshape.flatten,
    reshape.reshape,
    reshape.squeeze,
    reshape.unsqueeze,
    selection.argmax,
    selection.topk,
    transpose.transpose,
    var.var,
)

for _name, _f in _BINARY.items():
    setattr(Tensor, f"__{_name}__", _operator(_f))
    setattr(Tensor, f"__r{_name}__", _reflected(_f))
for _name, _f in _COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _operator(_f))
for _f in _METHODS:
    setattr(Tensor, _f.__name__, _f)

Tensor.__matmul__ = _operator(matmul.matmul)
Tensor.__rmatmul__ = _reflected(matmul.matmul)
Tensor.__neg__ = elementwise.neg
Tensor.__abs__ = elementwise.abs
Tensor.__getitem__ = indexing.getitem
Tensor.__setitem__ = indexing.setitem
Tensor.T = property(transpose.transpose, doc="Axes in reversed order, a contiguous copy.")
