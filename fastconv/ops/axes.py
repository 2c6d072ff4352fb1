"""axis= as users write it (None, an int, a tuple, negative) to sorted tuples, checked."""

from operator import index

from fastconv.errors import ArgumentError


def one_axis(name: str, axis, shape, new: int = 0, argument: str = "axis") -> int:
    """axis as an index from 0; ArgumentError if out of range. new: axes that the result adds."""
    ndim = len(shape) + new
    try:
        i = index(axis)
    except TypeError:
        raise ArgumentError(f"{name}: {argument} must be an int, got {axis!r}") from None
    if not -ndim <= i < ndim:
        raise ArgumentError(f"{name}: {argument} {axis} is out of range for shape {tuple(shape)}")
    return i % ndim


def several_axes(name: str, axis, shape) -> tuple[int, ...]:
    """axis (None for all, an int or a tuple) as a sorted tuple without repetitions."""
    if axis is None:
        return tuple(range(len(shape)))
    if not isinstance(axis, tuple | list):
        return (one_axis(name, axis, shape),)
    axes = sorted(one_axis(name, a, shape) for a in axis)
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{name}: axis {tuple(axis)} names an axis of shape {shape} twice")
    return tuple(axes)


def reduced_shape(shape, axes, keepdims: bool) -> tuple[int, ...]:
    """shape without axes, or with 1 in their place."""
    if keepdims:
        return tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axes])
