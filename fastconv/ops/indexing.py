"""Indexing with integers, slices, None, Ellipsis (a view where contiguous) and integer arrays.

    y = x[key]          gx = 0, then gx[key] += gy in the order of gy's elements

Boolean masks raise: the shape of their result would depend on values; fc.where keeps the shape.
"""

from operator import index

import numpy as np

from fastconv.backend import array_module, device_of, to_device
from fastconv.core import Op, Spec, Tensor, as_tensor, drop_packed, is_array
from fastconv.errors import ArgumentError, GradientError, ShapeError
from fastconv.ops.broadcast import broadcast_shape

ARRAY = "array"  # stands in a key where an integer array belongs


class Slice(Op):
    """Basic indexing; key has an int or a slice per axis of x, and Nones."""

    autocast = "keep"

    key: tuple

    def infer(self, x):
        self.x_shape = x.shape
        shape, self.is_view = basic_result(self.key, x.shape)
        return (Spec(shape, x.dtype, alias=0 if self.is_view else None),), ()

    def view(self, x, spec):
        return x[(*self.key, ...)]

    def forward(self, K, out, aux, x):
        if not self.is_view:
            out[0][...] = x[(*self.key, ...)]

    def backward(self, K, gy):
        gx = K.empty(self.x_shape, gy.dtype)
        gx[...] = 0
        gx[(*self.key, ...)] = gy
        return (gx,)


class Take(Op):
    """Indexing with integer arrays, NumPy's rules for where their axes go."""

    autocast = "keep"

    key: tuple

    def infer(self, x, *indices):
        self.x_shape = x.shape
        return (Spec(taken_shape(self.key, x.shape, indices), x.dtype),), ()

    def saves(self, inputs, outputs, needs):
        return inputs[1:]

    def _full_key(self, indices):
        arrays = iter(indices)
        return tuple([next(arrays) if entry is ARRAY else entry for entry in self.key])

    def forward(self, K, out, aux, x, *indices):
        axes = [e for e in self.key if e is not None]
        for axis, i in zip([a for a, e in enumerate(axes) if e is ARRAY], indices):
            n = x.shape[axis]
            if i.size and not -n <= (worst := i.min() if i.min() < -n else i.max()) < n:
                raise ArgumentError(
                    f"index {int(worst)} is out of range for axis {axis} of shape {x.shape}"
                )
        out[0][...] = x[self._full_key(indices)]

    def backward(self, K, gy):
        xp = array_module(gy)
        gx = K.empty(self.x_shape, gy.dtype)
        gx[...] = 0
        if gy.size:
            # equal targets side by side, in the order of gy, then one sum per run of them
            targets = xp.arange(gx.size).reshape(gx.shape)[self._full_key(self.saved)].reshape(-1)
            order = xp.argsort(targets, kind="stable")
            targets = targets[order]
            g = gy.reshape(-1)[order]
            g = g if g.dtype.itemsize >= 4 else g.astype(xp.float32)
            new = xp.ones(g.size, bool)
            new[1:] = targets[1:] != targets[:-1]
            starts = xp.flatnonzero(new)
            gx.reshape(-1)[targets[starts]] = xp.add.reduceat(g, starts)
        return (gx, *[None] * len(self.saved))


def basic_result(key, shape):
    """(shape of x[key], whether it is one contiguous piece of x)."""
    result, axis = [], 0
    for entry in key:
        if entry is None:
            result.append(1)
            continue
        if type(entry) is slice:
            result.append(len(range(*entry.indices(shape[axis]))))
        axis += 1
    if 0 in result:
        return tuple(result), True
    contiguous, whole, axis = True, True, len(shape)
    for entry in reversed(key):
        if entry is None:
            continue
        axis -= 1
        count, step = 1, 1
        if type(entry) is slice:
            start, stop, step = entry.indices(shape[axis])
            count = len(range(start, stop, step))
        # to the left of an axis that is taken in part, only one index may be taken
        contiguous &= count == 1 or (step == 1 and whole)
        whole &= count == shape[axis]
    return tuple(result), contiguous


def taken_shape(key, shape, indices):
    """Shape of x[key]: index arrays broadcast; they stand where the first was, or in front."""
    block = broadcast_shape("indexing", *indices) if len(indices) > 1 else indices[0].shape
    rest, advanced, axis = [], [], 0
    for position, entry in enumerate(key):
        if entry is ARRAY or isinstance(entry, int):
            advanced.append((position, len(rest)))
        elif entry is None:
            rest.append(1)
        else:
            rest.append(len(range(*entry.indices(shape[axis]))))
        axis += entry is not None
    together = advanced[-1][0] - advanced[0][0] == len(advanced) - 1
    at = advanced[0][1] if together else 0
    return (*rest[:at], *block, *rest[at:])


def _index_array(entry, like):
    """entry as an integer Tensor on the device of like."""
    if not isinstance(entry, Tensor):
        array = entry if is_array(entry) else np.asarray(entry)
        if array.size == 0 and not is_array(entry):
            array = array.astype(np.int64)  # [] has no dtype of its own
        entry = as_tensor(array)
    if entry.dtype.kind == "b":
        raise ArgumentError(
            f"indexing: boolean masks (here of shape {entry.shape}) give a shape that depends on"
            " values; use fc.where(mask, x, other) or multiply by the mask"
        )
    if entry.dtype.kind not in "iu":
        raise ArgumentError(f"indexing: index arrays must be integers, got {entry.dtype}")
    if type(like._data) is Spec or type(entry._data) is Spec:
        return entry
    return Tensor(to_device(entry._data, device_of(like._data)))


def normal_key(x, key):
    """(key with an int, slice or ARRAY per axis of x, and Nones; the index arrays as Tensors)."""
    entries = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise ArgumentError("indexing: ... may stand once in a key")
    named = sum(e is not None and e is not Ellipsis for e in entries)
    if named > x.ndim:
        raise ArgumentError(f"indexing: {named} indices for {x.ndim} axes of shape {x.shape}")
    at = dots[0] if dots else len(entries)
    entries[at : at + len(dots)] = [slice(None)] * (x.ndim - named)
    axis, arrays = 0, []
    for position, entry in enumerate(entries):
        if entry is None:
            continue
        if not isinstance(entry, slice):
            entries[position] = _single(entry, x, axis, arrays)
        axis += 1
    return tuple(entries), arrays


def _single(entry, x, axis, arrays):
    """An int, checked, or ARRAY with the index array appended to arrays."""
    if isinstance(entry, bool | np.bool_ | list | Tensor) or is_array(entry):
        arrays.append(_index_array(entry, x))
        return ARRAY
    try:
        i = index(entry)
    except TypeError:
        raise ArgumentError(
            f"indexing: an index must be an int, a slice, None, ... or integers, got {entry!r}"
        ) from None
    if not -x.shape[axis] <= i < x.shape[axis]:
        raise ArgumentError(f"index {i} is out of range for axis {axis} of shape {x.shape}")
    return i


def getitem(x, key):
    """x[key]."""
    key, arrays = normal_key(x, key)
    return Take(key)(x, *arrays) if arrays else Slice(key)(x)


def setitem(x, key, value):
    """x[key] = value in place, no history; backward of what saved x raises. No index arrays."""
    key, arrays = normal_key(x, key)
    if arrays:
        raise ArgumentError(
            "x[key] = value: key may hold integers, slices, None and ..., no arrays"
        )
    if isinstance(value, Tensor) and value.requires_grad:
        raise GradientError(
            "x[key] = value: value needs a gradient, which a write cuts off: value.detach()"
        )
    shape, _ = basic_result(key, x.shape)
    given = value.shape if isinstance(value, Tensor) else np.shape(value)
    if broadcast_shape("x[key] = value", Spec(shape, x.dtype), Spec(given, x.dtype)) != shape:
        raise ShapeError(f"x[key] = value: value {given} does not fit the place of shape {shape}")
    drop_packed(x)
    place = Spec(shape, x.dtype) if type(x._data) is Spec else x._data[(*key, ...)]
    Tensor._from_op(place, x._op, x._index, x._buffer).copy_(value)
