"""Copies of parameters in a kernel's own layout, kept between inferences.

Weights are packed for the machine before they are multiplied. Under no_grad that copy is kept with
the parameter, whose array is locked meanwhile, so that no write can leave the copy behind. What
writes in place on purpose (copy_, x[...] = v, an optimizer, train()) drops the copy first.
"""

from typing import Any, NamedTuple

from fastconv.core.spec import Spec
from fastconv.core.trace import Buffer, new_buffer


class Packed(NamedTuple):
    """values: the packed copy of array, made by the kernel table K for `key`; a Spec in a meta
    Trace."""

    K: Any
    key: Any
    array: Any
    values: Any
    buffer: Buffer


def packed_copy(K, tensor, key, elements, pack):
    """The kept copy of a parameter, or a new one of `elements` that pack(values) fills."""
    kept, array = tensor._buffer.packed, tensor._data
    if kept is not None and kept.array is array and kept.K is K and kept.key == key:
        return kept.values
    drop_packed(tensor)
    if type(array) is Spec:
        values = Spec((elements,), array.dtype)
    else:
        values = K.empty((elements,), array.dtype)
        pack(values)
        K.set_writeable(array, False)
    tensor._buffer.packed = Packed(K, key, array, values, new_buffer(values.nbytes, "packed"))
    return values


def drop_packed(tensor):
    """Before a write in place: forget the copy and unlock the array."""
    kept = tensor._buffer.packed
    if kept is not None:
        tensor._buffer.packed = None
        if type(kept.array) is not Spec:
            kept.K.set_writeable(kept.array, True)
