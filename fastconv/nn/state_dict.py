"""State dicts: arrays by dotted name with their layout, and loading that is all or nothing."""

from typing import NamedTuple

import numpy as np

from fastconv.backend import to_device
from fastconv.core import Tensor, is_float
from fastconv.errors import LayoutError, MetaError, StateDictError

__all__ = [
    "LAYOUT",
    "ForeignView",
    "LoadReport",
    "StateDict",
    "load",
    "load_ours",
    "named_state",
    "take",
]

LAYOUT = "OHWI"
SHOWN = 6  # keys of each kind that a printed LoadReport names


class StateDict(dict):
    """A dict of arrays that knows its weights' layout: "OHWI" for fastconv's own, None for unknown.

    Many weights have the same shape in OIHW and OHWI, so only one that says OHWI is loaded.
    """

    def __init__(self, arrays=(), layout=LAYOUT):
        super().__init__(arrays)
        self.layout = layout

    def copy(self):
        """A new StateDict with the same arrays and layout."""
        return StateDict(self, self.layout)

    def __or__(self, other):
        merged = self.copy()
        merged.update(other)
        return merged


class LoadReport(NamedTuple):
    """What became of a state dict; prints as a few lines."""

    missing: tuple[str, ...]  # in the model, not in the state dict
    unexpected: tuple[str, ...]  # in the state dict, not in the model: not used
    loaded: tuple[str, ...] = ()  # copied into the model
    fresh: tuple[str, ...] = ()  # a head that was left as it began
    notes: tuple[str, ...] = ()  # what was changed on the way, a line each
    source: str = ""  # file or hub address

    def __str__(self):
        lines = [f"{len(self.loaded)} tensors loaded" + f" from {self.source}" * bool(self.source)]
        for title in ("fresh", "missing", "unexpected"):
            if keys := getattr(self, title):
                shown = ", ".join(keys[:SHOWN]) + ", ..." * (len(keys) > SHOWN)
                lines.append(f"  {title} ({len(keys)}): {shown}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def host_array(value) -> np.ndarray:
    """A Tensor, a NumPy or CuPy array, or anything with __array__ as a NumPy array."""
    if isinstance(value, Tensor):
        return value.numpy()
    if hasattr(value, "__cuda_array_interface__") and not hasattr(value, "__array__"):
        return to_device(value, "cpu")
    return np.asarray(value)


def named_state(model):
    """(key, module, attribute, tensor) of each parameter and persistent buffer, as defined."""
    for path, module in model._walk():
        for name, tensor in module._own_state():
            yield f"{path}{name}", module, name, tensor


def take(model) -> StateDict:
    """The state dict of a model: NumPy copies."""
    return StateDict((key, np.array(tensor.numpy())) for key, _, _, tensor in named_state(model))


def load_ours(model, arrays, strict) -> LoadReport:
    """Module.load_state_dict."""
    layout = getattr(arrays, "layout", None)
    if layout != LAYOUT:
        raise LayoutError(
            f"load_state_dict: expected a state dict with layout={LAYOUT}, got"
            f" {type(arrays).__name__} with layout={layout}: weights from PyTorch are loaded with"
            " fc.load_torch_state_dict(model, arrays); a dict of arrays that are OHWI is said to be"
            " so by fc.nn.StateDict(arrays)"
        )
    return load(model, arrays, strict, "load_state_dict", lambda module, name: None)


def load(model, arrays, strict, caller, foreign, optional=lambda key: False) -> LoadReport:
    """Check everything, then write everything. StateDictError lists every key that is wrong.

    foreign(module, name) is None or a ForeignView of that tensor in the layout of `arrays`;
    optional(key) says which keys may be missing (they keep their values).
    """
    state = {
        key: (tensor, foreign(module, name)) for key, module, name, tensor in named_state(model)
    }
    for key, (tensor, _) in state.items():
        if tensor.is_meta:
            raise MetaError(
                f"{caller}: {key} is a meta tensor: build the model outside the meta Trace"
            )
    missing = tuple(key for key in state if key not in arrays and not optional(key))
    unexpected = tuple(key for key in arrays if key not in state)
    misshapen, loaded = [], []
    for key, (tensor, view) in state.items():
        if key not in arrays:
            continue
        array = host_array(arrays[key])
        expected = tensor.shape if view is None else view.shape
        if array.shape != expected:
            misshapen.append(f"{key}: expected {expected}, got {array.shape}")
        elif is_float(array.dtype) != is_float(tensor.dtype):
            misshapen.append(f"{key}: expected {tensor.dtype}, got {array.dtype}")
        else:
            ours = array if view is None else view.to_ours(array, tensor.shape)
            loaded.append((key, tensor, ours))
    wrong = [("misshapen", misshapen)]
    if strict:
        wrong = [("missing", missing), ("unexpected", unexpected), *wrong]
    if any(keys for _, keys in wrong):
        lines = [
            f"  {title} ({len(keys)}):\n" + "\n".join(f"    {k}" for k in keys)
            for title, keys in wrong
            if keys
        ]
        raise StateDictError(
            f"{caller}: the state dict does not fit {type(model).__name__}; nothing was loaded\n"
            + "\n".join(lines)
        )
    for _, tensor, array in loaded:
        tensor.copy_(to_device(np.ascontiguousarray(array), tensor.device))
    return LoadReport(missing, unexpected, tuple(key for key, _, _ in loaded))


class ForeignView(NamedTuple):
    """Another library's layout: ours.reshape(ours_as).transpose(axes).reshape(shape)."""

    ours_as: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def to_ours(self, array, shape):
        """Theirs as an array of our shape."""
        there = tuple(self.ours_as[a] for a in self.axes)
        return array.reshape(there).transpose(np.argsort(self.axes)).reshape(shape)

    def to_theirs(self, array):
        """Ours as a contiguous array in their layout."""
        theirs = array.reshape(self.ours_as).transpose(self.axes).reshape(self.shape)
        return np.ascontiguousarray(theirs)
