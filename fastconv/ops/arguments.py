"""Arguments as users write them (stride=2, padding="same") to the tuples that ops hold, and shared
checks."""

from fastconv.backend import ACTIVATIONS, IDENTITY, Activation
from fastconv.core import is_float
from fastconv.errors import ArgumentError, DTypeError, ShapeError

_SEQUENCE = (tuple, list)


def _at_least(minimum, values) -> bool:
    """Whether all values are ints of at least minimum."""
    for v in values:  # noqa: SIM110  every convolution comes here, a generator takes thrice as long
        if not isinstance(v, int) or v < minimum:
            return False
    return True


def pair(value, name: str, minimum: int = 1) -> tuple[int, int]:
    """An int or (rows, columns) as a tuple, each at least minimum."""
    both = (value, value) if isinstance(value, int) else value
    if not isinstance(both, _SEQUENCE) or len(both) != 2 or not _at_least(minimum, both):
        raise ArgumentError(
            f"{name} must be an int or a pair of ints of at least {minimum}, got {value!r}"
        )
    return tuple(both)


def four_sides(padding, name: str):
    """padding as "same", "valid" or (top, bottom, left, right): from an int, (h, w) or four
    ints."""
    if padding == "same":
        return "same"
    if padding == "valid":
        return (0, 0, 0, 0)
    if isinstance(padding, int):
        sides = (padding,) * 4
    elif isinstance(padding, _SEQUENCE) and len(padding) == 2:
        sides = (padding[0], padding[0], padding[1], padding[1])
    elif isinstance(padding, _SEQUENCE) and len(padding) == 4:
        sides = tuple(padding)
    else:
        sides = (-1,)
    if not _at_least(0, sides):
        raise ArgumentError(
            f"{name} must be 'same', 'valid', an int, (h, w) or (top, bottom, left, right), none"
            f" negative, got {padding!r}"
        )
    return sides


def same_sides(size, window, stride, dilation) -> tuple[int, int, int, int]:
    """TensorFlow's "same": output ceil(size/stride), the odd pixel of padding goes to bottom and
    right."""
    sides = []
    for n, k, s, d in zip(size, window, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        sides += [total // 2, total - total // 2]
    return tuple(sides)


def window_outputs(name, size, window, stride, pad, dilation, ceil_mode=False) -> tuple[int, int]:
    """(P, Q) = floor((size + padding - dilation*(window-1) - 1) / stride) + 1; ShapeError if a
    window does not fit.

    ceil_mode rounds up, but drops a window that would start in the padding behind the input (as
    torch does).
    """
    out = []
    for axis in (0, 1):
        n, d = size[axis], dilation[axis]
        before, after = pad[2 * axis], pad[2 * axis + 1]
        reach = d * (window[axis] - 1) + 1
        room = n + before + after - reach
        if room < 0:
            raise ShapeError(
                f"{name}: the window {tuple(window)} with dilation {tuple(dilation)} spans {reach}"
                f" {('rows', 'columns')[axis]}, the padded input has only {n + before + after}"
            )
        count = room // stride[axis] + 1
        if ceil_mode and room % stride[axis] and count * stride[axis] < n + before:
            count += 1
        out.append(count)
    return tuple(out)


def check_image(name, x, argument="x", channels=None):
    """(n, h, w, c) of an NHWC batch, else ShapeError, with a hint where it looks like NCHW."""
    if x.ndim != 4:
        raise ShapeError(
            f"{name}: {argument} must have 4 axes (N, H, W, C), got shape {x.shape}"
            + ("; add the batch axis: x[None]" if x.ndim == 3 else "")
        )
    if channels is not None and x.shape[3] != channels:
        raise ShapeError(
            f"{name}: {argument} has {x.shape[3]} channels, expected {channels}"
            + nchw_hint(x, channels)
        )
    return x.shape


def nchw_hint(x, channels) -> str:
    """Ending of an error text: said only where axis 1 of x would fit and the last does not."""
    fits = x.ndim == 4 and x.shape[1] == channels != x.shape[3]
    return "; looks like NCHW: use fc.from_nchw(x)" if fits else ""


def float_dtype(name, **arrays):
    """The floating dtype that all arrays (None skipped) share, else DTypeError with the cast."""
    first = None
    for argument, a in arrays.items():
        if a is None:
            continue
        if not is_float(a.dtype):
            raise DTypeError(
                f"{name}: {argument} must be a floating-point tensor, got {a.dtype};"
                f" convert it with {argument}.astype('float32')"
            )
        if first is None:
            first = (argument, a.dtype)
        elif a.dtype != first[1]:
            raise DTypeError(
                f"{name}: {first[0]} is {first[1]} but {argument} is {a.dtype}; convert one, for"
                f" example {first[0]}.astype('{a.dtype}')"
            )
    return first[1]


def full_precision(name, **arrays):
    """As float_dtype, and no half type: for ops that have no kernel which widens."""
    dtype = float_dtype(name, **arrays)
    if dtype.itemsize < 4:
        argument = next(iter(arrays))
        raise DTypeError(
            f"{name}: {argument} must be float32 or float64, got {dtype};"
            f" convert with {argument}.astype('float32')"
        )
    return dtype


def probability(value, name: str) -> float:
    """A number in [0, 1)."""
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ArgumentError(f"{name} must be a number in [0, 1), got {value!r}")
    return float(value)


def positive_int(value, name):
    """value if it is an int of at least 1, else ArgumentError."""
    if not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name} must be an int of at least 1, got {value!r}")
    return value


_PLAIN = {a: Activation(a) for a in ACTIVATIONS if a not in ("leaky_relu", "elu", "scaled_tanh")}


def activation_named(act, name) -> Activation:
    """An Activation, or the one of that name; None is the identity."""
    if act is None:
        return IDENTITY
    if isinstance(act, Activation):
        return act
    if isinstance(act, str):
        if act in _PLAIN:
            return _PLAIN[act]
        if act in ACTIVATIONS:
            raise ArgumentError(f"{name}: act={act!r} has constants: give Activation({act!r}, ...)")
    raise ArgumentError(
        f"{name}: act must be None, an Activation or one of {', '.join(_PLAIN)}, got {act!r}"
    )
