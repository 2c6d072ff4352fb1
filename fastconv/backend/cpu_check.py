"""The one check that every CPU wrapper makes; shapes and layout are checked by the bindings."""

from fastconv.errors import DTypeError

__all__ = ["check_float", "check_float_dtype"]


def check_float(function, array):
    """DTypeError unless array is float32 or float64."""
    check_float_dtype(function, array.dtype)


def check_float_dtype(function, dtype):
    """DTypeError unless dtype is float32 or float64."""
    if dtype.char not in "fd":
        raise DTypeError(
            f"{function}: the CPU kernels take float32 and float64, came {dtype}; convert "
            'with astype, or use fc.use_backend("reference")'
        )
