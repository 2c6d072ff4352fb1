"""Operands of element-wise ops: Python numbers to tensors, NumPy's broadcasting, and its transpose.

Broadcasting repeats an operand along axes; its gradient is the sum over exactly those axes.
"""

from math import prod
from numbers import Number

import numpy as np

from fastconv.backend import array_module, device_of, to_device
from fastconv.core import Spec, Tensor, as_tensor, is_array, is_float
from fastconv.errors import ArgumentError, DTypeError, ShapeError


def is_operand(value) -> bool:
    """True for what operators take: tensors (parameters too), arrays, Python or NumPy numbers."""
    return isinstance(value, Tensor | Number | np.generic) or is_array(value)


def operands(name: str, *values) -> tuple[Tensor, ...]:
    """All values as Tensors; a number takes dtype and device of the first tensor."""
    like = None
    for v in values:
        if isinstance(v, Tensor) or is_array(v):
            like = as_tensor(v)
            break
    if like is None:
        raise ArgumentError(
            f"{name}: at least one operand must be a tensor or an array, got {values!r}"
        )
    return tuple([v if isinstance(v, Tensor) else _operand(name, v, like) for v in values])


def _operand(name, value, like):
    if is_array(value):
        return as_tensor(value)
    if not isinstance(value, Number | np.generic):
        raise ArgumentError(
            f"{name}: an operand must be a tensor, an array or a number, got {value!r}"
        )
    if not is_float(like.dtype) and not isinstance(value, int | np.integer | np.bool_):
        raise DTypeError(
            f"{name}: {value!r} does not fit a tensor of dtype {like.dtype}; convert the tensor"
            " with .astype('float32')"
        )
    try:
        array = np.asarray(value, like.dtype)
    except (OverflowError, TypeError) as error:
        raise DTypeError(f"{name}: {value!r} does not fit dtype {like.dtype}: {error}") from None
    if type(like._data) is Spec:
        return Tensor(array)
    return Tensor(to_device(array, device_of(like._data)))


def broadcast_shape(name: str, *arrays) -> tuple[int, ...]:
    """The common shape by NumPy's rule, or ShapeError with all shapes."""
    shapes = [a.shape for a in arrays]
    if shapes.count(shapes[0]) == len(shapes):
        return shapes[0]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(s) for s in shapes)
        raise ShapeError(
            f"{name}: shapes {listed} do not broadcast: from the right, axes must be equal or 1"
        ) from None


def number_dtype(name: str, x, y) -> np.dtype:
    """The dtype that both share, floating or integer; else DTypeError: nothing is cast silently."""
    if x.dtype != y.dtype:
        raise DTypeError(
            f"{name}: the operands are {x.dtype} and {y.dtype}; convert one, for example"
            f" .astype('{x.dtype}')"
        )
    if x.dtype.kind == "b":
        raise DTypeError(f"{name}: operands are bool; convert them with .astype('float32')")
    return x.dtype


def sum_into(x, axes, out) -> None:
    """out = sum of x over axes (a tuple); half types are summed in float32 and rounded once."""
    xp = array_module(out)
    if is_float(out.dtype) and out.dtype.itemsize < 4:
        out[...] = xp.sum(x, axis=axes, dtype=xp.float32)
    else:
        xp.sum(x, axis=axes, dtype=out.dtype, out=out)


def sum_to_shape(K, g, shape):
    """g summed over the axes along which shape was repeated; g itself or a view of it if none."""
    if g.size == prod(shape):
        return g.reshape(shape)
    lead = g.ndim - len(shape)
    axes = tuple(i for i in range(g.ndim) if i < lead or shape[i - lead] != g.shape[i])
    total = K.empty(shape, g.dtype)
    if axes == tuple(range(g.ndim - 1)):
        K.channel_sum(g, total.reshape(g.shape[-1:]))
    else:
        kept = tuple(n for i, n in enumerate(g.shape) if i not in axes)
        sum_into(g, axes, total.reshape(kept))
    return total
