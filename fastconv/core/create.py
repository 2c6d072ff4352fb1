"""Tensors from the outside world: arrays, lists, NCHW and OIHW data, DLPack."""

import numpy as np

from fastconv.backend import array_module, parse_device, table_for, to_device
from fastconv.core.dtypes import as_dtype
from fastconv.core.spec import Spec
from fastconv.core.state import state
from fastconv.core.tensor import Tensor
from fastconv.errors import LayoutError


def tensor(a, requires_grad=False, device=None, dtype=None) -> Tensor:
    """A new tensor with a copy of a (array, nested lists, number, anything with __array__).

    Keeps a's dtype; Python floats become float32 and Python integers int64. Shape as a's, NHWC for
    images.
    """
    array = a.data if isinstance(a, Tensor) else a
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        array = np.asarray(array)
        if dtype is None and array.dtype == np.float64:
            dtype = "float32"
    elif not isinstance(array, np.ndarray) and not hasattr(array, "__cuda_array_interface__"):
        array = np.asarray(array)
    dtype = array.dtype if dtype is None else as_dtype(dtype)
    return Tensor(own_copy(array, dtype, parse_device(device)), requires_grad)


def own_copy(array, dtype, device):
    """array in fastconv's own memory: contiguous, aligned, on device; in a meta Trace a Spec."""
    if state.trace is not None and state.trace.meta:
        return Spec(array.shape, dtype)
    array = to_device(array, device)
    copy = table_for([array]).empty(array.shape, dtype)
    copy[...] = array
    return copy


def _permuted(a, axes, name, wanted):
    if isinstance(a, Tensor):
        if a.ndim != 4:
            raise LayoutError(f"{name}: expected 4 axes ({wanted}), got shape {a.shape}")
        return a.transpose(*axes)
    array = a if hasattr(a, "__cuda_array_interface__") else np.asarray(a)
    if array.ndim != 4:
        raise LayoutError(f"{name}: expected 4 axes ({wanted}), got shape {array.shape}")
    return tensor(array_module(array).transpose(array, axes))


def from_nchw(a) -> Tensor:
    """Images (N, C, H, W) from PyTorch, CuPy or ONNX as an NHWC tensor (a copy)."""
    return _permuted(a, (0, 2, 3, 1), "from_nchw", "N, C, H, W")


def from_oihw(w) -> Tensor:
    """Convolution weights (O, I, H, W) as an OHWI tensor (a copy)."""
    return _permuted(w, (0, 2, 3, 1), "from_oihw", "O, I, H, W")


def from_dlpack(t) -> Tensor:
    """The memory of another library's tensor (torch, CuPy, JAX) without a copy, axes kept."""
    kind = t.__dlpack_device__()[0]
    if kind == 2:  # kDLCUDA
        import cupy

        array = cupy.from_dlpack(t)
    else:
        array = np.from_dlpack(t)
    if not array.flags.c_contiguous:
        raise LayoutError(
            f"from_dlpack: the memory of shape {array.shape} is not contiguous in that order; copy"
            " it first, or use fc.from_nchw for images in NCHW"
        )
    return Tensor(array)
