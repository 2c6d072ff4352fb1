"""Tensor: an array with a memory of how it was made, and the one loop that walks back through it.

Tensor knows nothing of ops: fastconv/ops installs the operators (+, @, reshape, ...) downwards.
"""

from heapq import heappop, heappush

import numpy as np

from fastconv.backend import IDENTITY, device_of, parse_device, table_for, to_device
from fastconv.core.dtypes import is_float
from fastconv.core.graph import edge_of
from fastconv.core.packed import drop_packed
from fastconv.core.spec import Spec
from fastconv.core.state import state
from fastconv.core.trace import new_buffer
from fastconv.errors import DTypeError, GradientError, MetaError


class Tensor:
    """An n-dimensional array (NumPy on the CPU, CuPy on a GPU) that can be differentiated.

    Made by fc.tensor and by ops; wrapping takes the array as it is, without a copy.
    """

    __slots__ = (
        *("__weakref__", "_buffer", "_data", "_index", "_op", "_recipe"),
        *("grad", "requires_grad"),
    )
    __array_ufunc__ = None  # array * tensor is left to Tensor.__rmul__

    def __init__(self, array, requires_grad=False, kind="input"):
        if requires_grad and not is_float(array.dtype):
            raise DTypeError(
                "requires_grad: only floating-point tensors have gradients, got dtype"
                f" {array.dtype}"
            )
        self._data = array
        self._buffer = new_buffer(array.nbytes, kind)
        self._op = None
        self._index = 0
        self._recipe = None
        self.requires_grad = requires_grad
        self.grad = None

    @staticmethod
    def _from_op(array, op, index, buffer):
        x = Tensor.__new__(Tensor)
        x._data = array
        x._buffer = buffer
        x._op = op
        x._index = index
        x._recipe = None  # how an op that reads it has it made again in backward (recipe.py)
        x.requires_grad = op is not None
        x.grad = None
        return x

    # ---- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def nbytes(self) -> int:
        return self._data.nbytes

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> str:
        """ "cpu", "cuda:0", ... or "meta"."""
        return "meta" if self.is_meta else device_of(self._data)

    @property
    def is_meta(self) -> bool:
        """True if it has a shape and a dtype only (made inside a meta Trace)."""
        return type(self._data) is Spec

    @property
    def is_leaf(self) -> bool:
        """True if no op made it: backward leaves gradients in the .grad of leaves."""
        return self._op is None

    # ---- its values

    @property
    def data(self):
        """The NumPy or CuPy array itself. Backward sees x[...] = v, but no writes to this."""
        if type(self._data) is Spec:
            raise MetaError(
                f"a meta tensor of shape {self.shape} has no values to read: it was made inside"
                " `with fc.Trace(meta=True)`"
            )
        return self._data

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array: on the CPU the memory itself, from a GPU a copy."""
        return to_device(self.data, "cpu")

    def item(self):
        """The single value as a Python number."""
        return self.data.item()

    def tolist(self):
        """The values as nested Python lists."""
        return self.data.tolist()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs):
        return self.data.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__

    def __repr__(self):
        grad = ", requires_grad=True" if self.requires_grad else ""
        if self.is_meta:
            return f"tensor(meta, shape={self.shape}, dtype={self.dtype}{grad})"
        values = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=100)
        return f"tensor({values}, dtype={self.dtype}{grad})"

    # ---- moves

    def detach(self) -> "Tensor":
        """The same memory without history; in-place writes to either are seen by both."""
        return Tensor._from_op(self._data, None, 0, self._buffer)

    def to(self, device: str) -> "Tensor":
        """On another device ("cpu", "cuda", "cuda:1"): self if it is there, else a copy without
        history."""
        device = parse_device(device)
        if self.is_meta or device == self.device:
            return self
        if self._op is not None:
            raise GradientError(
                f"to({device!r}): a tensor made by {type(self._op).__name__} has a history; move"
                " the inputs before the computation, or x.detach()"
            )
        return Tensor(to_device(self._data, device), self.requires_grad)

    def copy_(self, values) -> "Tensor":
        """Overwrite in place with values of this shape (cast to this dtype); backward sees it."""
        if state.grad and self._op is not None:
            raise GradientError(
                f"in-place write: this tensor was made by {type(self._op).__name__} and needs a"
                " gradient; write inside `with fc.no_grad()` or to x.detach()"
            )
        drop_packed(self)
        if type(self._data) is not Spec:
            self._data[...] = values.data if isinstance(values, Tensor) else values
        self._buffer.version += 1
        return self

    # ---- the way back

    def backward(self, gy=None) -> None:
        """Add d(self)/d(leaf) * gy to the .grad of every leaf that requires it; frees the graph as
        it goes.

        gy: gradient by this tensor, same shape; may be left out for a tensor of one element (1).
        """
        if not self.requires_grad:
            raise GradientError(
                "backward: this tensor needs no gradient: nothing it was computed from has"
                " requires_grad=True (or it was computed inside no_grad)"
            )
        gy = self._seed(gy)
        seeds = [(self, (gy, new_buffer(gy.nbytes, "gradient"), False))]
        del gy  # the walk frees each gradient as soon as it was used
        walk_back(seeds)

    def _seed(self, gy):
        if gy is None:
            if self.size != 1:
                raise GradientError(
                    f"backward: a tensor of shape {self.shape} is not a scalar: give gy of that"
                    " shape, or reduce it first (x.sum(), x.mean())"
                )
            if self.is_meta:
                return Spec(self.shape, self.dtype)
            gy = table_for([self._data]).empty(self.shape, self.dtype)
            gy[...] = 1
            return gy
        gy = gy._data if isinstance(gy, Tensor) else np.asarray(gy)
        if gy.shape != self.shape or gy.dtype != self.dtype:
            raise GradientError(
                f"backward: gy must have shape {self.shape} and dtype {self.dtype}, got"
                f" {gy.shape} and {gy.dtype}"
            )
        return gy if type(gy) is Spec or gy.flags.c_contiguous else gy.copy()

    def _accumulate(self, grad, passed):
        array, buffer, _ = grad
        if self.grad is not None:
            if self.grad.shape != array.shape:
                raise GradientError(
                    f"backward: .grad has shape {self.grad.shape}, its tensor {array.shape}"
                )
            if type(array) is not Spec:
                table_for([array]).add(self.grad._data, array, self.grad._data, IDENTITY)
            self.grad._buffer.version += 1
            return
        if passed:  # the array belongs to someone else too: the leaf gets its own
            array, buffer = _copy(array), new_buffer(array.nbytes, "gradient")
        self.grad = Tensor._from_op(array, None, 0, buffer)


def walk_back(seeds):
    """The one walk: seeds are (tensor, (gradient, buffer, owned)), and are taken from the list."""
    heap, grads = [], {}
    while seeds:
        x, grad = seeds.pop()
        _hand(edge_of(x), grad, True, heap, grads)
        del x, grad
    while heap:
        # the latest op first: whatever used its outputs has already been walked
        op = heappop(heap)[1]
        for edge, grad, passed in op.run_backward(grads.pop(op)):
            _hand(edge, grad, passed, heap, grads)
            del grad


def _hand(edge, grad, passed, heap, grads):
    """A gradient to the leaf or the op at the other end of the edge."""
    if type(edge) is not tuple:
        edge._accumulate(grad, passed)
        return
    parent, index = edge
    if parent not in grads:
        grads[parent] = {}
        heappush(heap, (-parent.order, parent))
    slots = grads[parent]
    slots[index] = _sum(slots[index], grad) if index in slots else grad


def _copy(array):
    if type(array) is Spec:
        return array
    copy = table_for([array]).empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def _sum(first, second):
    """Sum of two gradients (array, buffer, owned); in place once the array is our own."""
    array, buffer, owned = first
    if not owned:
        buffer = new_buffer(array.nbytes, "gradient")
    if type(array) is Spec:
        return array, buffer, True
    K = table_for([array])
    total = array if owned else K.empty(array.shape, array.dtype)
    K.add(array, second[0], total, IDENTITY)
    return total, buffer, True
