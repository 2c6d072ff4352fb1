"""The public functions: @function puts one in fastconv.functional and lets it take plain arrays.

With Tensors in, Tensors come out. With NumPy or CuPy arrays only, nothing is recorded and the same
kind of array comes out. layout="NCHW" (functions that have images) takes and gives NCHW and OIHW
arrays. out=: functions that one op computes write their result there (core/out.py).
"""

from functools import wraps
from inspect import Parameter, signature

import numpy as np

from fastconv.core.out import check_kind
from fastconv.core.state import no_grad, overridden
from fastconv.core.tensor import Tensor
from fastconv.errors import ArgumentError, RegistryError

FUNCTIONS: dict[str, object] = {}

_TORCH_SPELLING = {"dim": "axis", "keepdim": "keepdims"}

_TO_NHWC = (0, 2, 3, 1)
_TO_NCHW = (0, 3, 1, 2)


def is_array(a) -> bool:
    """True for NumPy and CuPy arrays."""
    return isinstance(a, np.ndarray) or hasattr(a, "__cuda_array_interface__")


def as_tensor(a, like: Tensor | None = None) -> Tensor:
    """a as a Tensor, not copied if it is a contiguous array; Python numbers take like's dtype."""
    if isinstance(a, Tensor):
        return a
    if not is_array(a):
        a = np.asarray(a, None if like is None else like.dtype)
    return Tensor(a if a.flags.c_contiguous else a.copy(order="C"))


def function(f=None, *, images=(), out=False):
    """Decorator. images: parameters with NHWC or OHWI arrays or shapes; f then takes layout=.
    out: f is one op with one new result; it then takes out=."""
    if f is None:
        return lambda f: function(f, images=images, out=out)
    if f.__name__ in FUNCTIONS:
        raise RegistryError(f"function {f.__name__!r} is registered twice")
    own = signature(f)
    names = tuple(own.parameters)
    takes_out = out

    @wraps(f)
    def call(*args, layout="NHWC", out=None, **kwargs):
        for theirs, ours in _TORCH_SPELLING.items() if kwargs else ():
            if theirs in kwargs and theirs not in names:
                raise ArgumentError(f"{f.__name__}: {theirs}= is PyTorch's spelling; use {ours}=")
        if out is not None:
            if not takes_out:
                raise ArgumentError(f"{f.__name__}: takes no out=")
            check_kind(f.__name__, out, (*args, *kwargs.values()))
        if layout != "NHWC":
            return _in_nchw(call, names, images, layout, out, args, kwargs)
        if out is not None:
            return _into(out, f.__name__, call, args, kwargs)
        if args and type(args[0]) is Tensor:
            return f(*args, **kwargs)
        values = (*args, *kwargs.values())
        if any(isinstance(v, Tensor) or _holds_tensors(v) for v in values):
            return f(*args, **kwargs)
        with no_grad():
            wrapped = [as_tensor(v) if is_array(v) else v for v in args]
            named = {k: as_tensor(v) if is_array(v) else v for k, v in kwargs.items()}
            return _unwrap(f(*wrapped, **named))

    shown = list(own.parameters.values())
    if images:
        shown.append(Parameter("layout", Parameter.KEYWORD_ONLY, default="NHWC"))
    if takes_out:
        shown.append(Parameter("out", Parameter.KEYWORD_ONLY, default=None))
    call.__signature__ = own.replace(parameters=shown)
    FUNCTIONS[f.__name__] = call
    return call


def _holds_tensors(v):
    return isinstance(v, list | tuple) and any(isinstance(e, Tensor) for e in v)


def _unwrap(y):
    if isinstance(y, Tensor):
        return y.data
    if isinstance(y, tuple | list):
        return tuple(_unwrap(e) for e in y)
    return y


def _in_nchw(call, names, images, layout, out, args, kwargs):
    if layout != "NCHW" or not images:
        known = "'NHWC' or 'NCHW'" if images else "'NHWC'"
        raise ArgumentError(f"{call.__name__}: layout must be {known}, got {layout!r}")
    named = dict(zip(names, args, strict=False)) | kwargs
    for name in images:
        if (a := named.get(name)) is not None:
            named[name] = _transposed(a, _TO_NHWC)
    if out is None:
        return _transposed(call(**named), _TO_NCHW)
    # the op checks it before it computes: running statistics do not change for a wrong out
    inside = _transposed(out, _TO_NHWC)
    _into(inside, f"{call.__name__} (shapes as NHWC)", call, (), named)
    out[...] = inside.transpose(_TO_NCHW)
    return out


def _into(out, name, call, args, kwargs):
    """call(...), its result in out."""
    with overridden("out", (name, out)):
        call(*args, **kwargs)
    return out


def _transposed(a, axes):
    if isinstance(a, list | tuple):
        if len(a) == 4 and all(isinstance(e, int) for e in a):
            return tuple(a[i] for i in axes)  # a shape, as in conv2d_input_grad(x_shape=...)
        return tuple(_transposed(e, axes) for e in a)
    if not hasattr(a, "ndim"):
        return a  # not an array: the function itself says what it expected
    if a.ndim != 4:
        return a
    if isinstance(a, Tensor):
        return a.transpose(*axes)
    return a.transpose(axes).copy(order="C")
