"""out=: the array that a public function writes its result into, instead of a new one."""

import numpy as np

from fastconv.backend import array_module, device_of
from fastconv.core.state import state
from fastconv.core.tensor import Tensor
from fastconv.errors import ArgumentError, DeviceError, DTypeError, ShapeError


def check_kind(name, out, values) -> None:
    """ArgumentError unless out is a writeable array and no Tensor is involved: overwriting an
    array behind a Tensor would escape its version."""
    if isinstance(out, Tensor) or any(isinstance(v, Tensor) for v in values):
        raise ArgumentError(f"{name}: out= goes with NumPy or CuPy arrays only, not with Tensors")
    if not (isinstance(out, np.ndarray) or hasattr(out, "__cuda_array_interface__")):
        raise ArgumentError(f"{name}: out must be an array, got {type(out).__name__}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ArgumentError(f"{name}: out is read-only")


def check_place(name, out, spec, inputs) -> None:
    """Raise unless out can take a result of this Spec, made from these input arrays."""
    if state.trace is not None and state.trace.meta:
        raise ArgumentError(f"{name}: out= has no meaning inside `with fc.Trace(meta=True)`")
    if out.shape != spec.shape:
        raise ShapeError(f"{name}: out must have shape {spec.shape}, got {out.shape}")
    if out.dtype != spec.dtype:
        raise DTypeError(f"{name}: out must be {spec.dtype}, got {out.dtype}")
    if not out.flags.c_contiguous:
        raise ArgumentError(f"{name}: out must be C-contiguous, got strides {out.strides}")
    xp = array_module(out)
    for a in inputs:
        if a is None:
            continue
        if device_of(a) != device_of(out):
            raise DeviceError(f"{name}: out is on {device_of(out)}, the inputs on {device_of(a)}")
        if xp.may_share_memory(a, out):
            raise ArgumentError(f"{name}: out overlaps an input; it must be memory of its own")
