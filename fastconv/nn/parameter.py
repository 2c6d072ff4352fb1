"""The two kinds of tensors that a module owns: what is trained, and what is only carried along."""

from fastconv.backend import parse_device, table_for
from fastconv.core import Spec, Tensor, as_dtype, as_tensor, own_copy, state

__all__ = ["Buffer", "Parameter"]


def _array(values):
    return values._data if isinstance(values, Tensor) else as_tensor(values)._data


def _fresh(shape, dtype):
    """Memory of ours, not yet filled; a Spec inside a meta Trace."""
    dtype = as_dtype(dtype)
    if state.trace is not None and state.trace.meta:
        return Spec(tuple(shape), dtype)
    return table_for([]).empty(tuple(shape), dtype)


class Parameter(Tensor):
    """A trained tensor: a module finds those among its attributes, an optimizer steps them.

    values (array or Tensor of a floating dtype) are copied; inside a meta Trace only their shape
    and dtype are kept.
    """

    __slots__ = ()

    def __init__(self, values, requires_grad=True, device=None):
        array = _array(values)
        copy = own_copy(array, array.dtype, parse_device(device))
        super().__init__(copy, requires_grad, kind="parameter")

    @classmethod
    def empty(cls, shape, dtype="float32"):
        """A parameter whose values an initialiser is about to write."""
        parameter = cls.__new__(cls)
        Tensor.__init__(parameter, _fresh(shape, dtype), True, kind="parameter")
        return parameter

    def __deepcopy__(self, memo):
        copy = memo[id(self)] = type(self)(self, self.requires_grad, device=_device(self))
        return copy

    def __repr__(self):
        return f"Parameter {super().__repr__()}"


class Buffer(Tensor):
    """A tensor of a module's state that is not trained: running statistics, fixed tables.

    persistent: whether state_dict() contains it. values are copied.
    """

    __slots__ = ("persistent",)

    def __init__(self, values, persistent=True, device=None):
        array = _array(values)
        super().__init__(own_copy(array, array.dtype, parse_device(device)), False, kind="state")
        self.persistent = persistent

    def __deepcopy__(self, memo):
        copy = memo[id(self)] = type(self)(self, self.persistent, device=_device(self))
        return copy

    def __repr__(self):
        return f"Buffer {super().__repr__()}"


def _device(x):
    return None if x.is_meta else x.device
