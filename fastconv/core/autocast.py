"""Autocast: which dtype an op's float inputs get inside `with fc.autocast(...)`.

Each op says its class: "low" (matrix products: the autocast dtype), "float32" (losses, norms'
statistics: computed in float32), "promote" (element-wise: the widest of its inputs). The casts are
ops, so gradients come back in the dtype that each tensor has.
"""

from fastconv.core.dtypes import LOW_PRECISION, as_dtype, is_float
from fastconv.core.state import overridden, state
from fastconv.errors import DTypeError


def autocast(dtype="bfloat16"):
    """Inside the block, ops of class "low" run in dtype ("bfloat16" or "float16"); parameters stay
    float32.

    A backend without kernels for it raises DTypeError: nothing falls back silently.
    """
    dtype = as_dtype(dtype)
    if dtype.name not in LOW_PRECISION:
        raise DTypeError(f"autocast: dtype must be one of {LOW_PRECISION}, got {dtype.name}")
    return overridden("autocast", dtype)


def cast_inputs(op, inputs):
    """The inputs with op's policy applied; called by the gate."""
    floats = [x.dtype for x in inputs if x is not None and is_float(x.dtype)]
    if not floats:
        return inputs
    if op.autocast == "low":
        target = state.autocast
    elif op.autocast == "float32":
        target = as_dtype("float32")
    elif op.autocast == "promote":
        target = max(floats, key=lambda d: d.itemsize)
    else:  # "keep": the op's inputs have their own dtypes by design (Cast itself)
        return inputs
    return tuple(
        x if x is None or not is_float(x.dtype) or x.dtype == target else x.astype(target)
        for x in inputs
    )
