"""dtype names that fastconv knows; ml_dtypes is imported when bfloat16 is asked for."""

from functools import cache

import numpy as np

from fastconv.errors import DTypeError

LOW_PRECISION = ("bfloat16", "float16")
_FLOATS = frozenset(["float32", "float64", *LOW_PRECISION])


def as_dtype(dtype) -> np.dtype:
    """np.dtype of a name, a NumPy type or a dtype ("bfloat16" included); DTypeError if there is
    none."""
    if isinstance(dtype, np.dtype):
        return dtype
    if dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    try:
        return np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"dtype: {dtype!r} is not a dtype that NumPy or fastconv knows") from None


@cache  # a dtype's name takes numpy longer to make than a small op takes altogether
def is_float(dtype: np.dtype) -> bool:
    """True for float64, float32, float16 and bfloat16: what can have a gradient."""
    return dtype.name in _FLOATS
