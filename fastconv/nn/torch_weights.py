"""PyTorch's state dicts to ours and back.

    convolution             (O, I/groups, R, S) <-> (O, R, S, I/groups)
    transposed convolution  (I, O/groups, R, S) <-> (I, R, S, O/groups)
    Linear((H, W, C), ...)  columns in the order C, H, W <-> H, W, C
everything else is the same. Each module says its own difference: Module.torch_view.

Other libraries name the same layers otherwise. `key_map` of the network's class, pairs of a regular
expression and a replacement (text, or a function of the match where numbers shift), is applied in
order to every key of theirs that the network does not have itself.
"""

import re

import numpy as np

from fastconv.errors import LayoutError, StateDictError
from fastconv.nn.state_dict import LAYOUT, LoadReport, StateDict, load, named_state, take

__all__ = ["load_torch_state_dict", "to_torch_state_dict"]

TORCH_LAYOUT = "OIHW"
OPTIONAL = "num_batches_tracked"  # absent from checkpoints written before PyTorch 0.4.1


def load_torch_state_dict(model, arrays, strict=True) -> LoadReport:
    """Copy PyTorch's state dict {name: NumPy array or anything with __array__} into model.

    All or nothing: StateDictError lists every missing, unexpected and misshapen key (shapes as
    PyTorch has them). strict=False lets missing and unexpected keys pass and returns them.
    """
    if getattr(arrays, "layout", None) == LAYOUT:
        raise LayoutError(
            f"load_torch_state_dict: this state dict has layout={LAYOUT}, fastconv's own: load it"
            " with model.load_state_dict(arrays)"
        )
    return load(
        model,
        arrays,
        strict,
        "load_torch_state_dict",
        foreign=lambda module, name: module.torch_view(name),
        optional=lambda key: key.rpartition(".")[2] == OPTIONAL,
    )


def to_torch_state_dict(model, like=None) -> StateDict:
    """NumPy arrays by PyTorch's names in its layout: torchvision loads them with strict=True.

    `{k: torch.from_numpy(v) for k, v in fc.to_torch_state_dict(model).items()}`

    like: the state dict {name: anything with .shape} of the same network in a library that names
    its layers otherwise, such as timm: the result has these names in this order, and these shapes
    where only axes of length 1 differ, or a convolution over the whole map stands for a linear
    layer. StateDictError where the two are not the same network.
    """
    state = StateDict(take(model), TORCH_LAYOUT)
    for key, module, name, _ in named_state(model):
        view = module.torch_view(name)
        if view is not None:
            state[key] = view.to_theirs(state[key])
    return state if like is None else _named_like(state, like, getattr(model, "key_map", ()))


def our_names(keys, wanted, key_map):
    """{key: its name here}: a key that is not in `wanted` goes through every pair of key_map."""
    names = {}
    for key in keys:
        name = key
        if key not in wanted:
            for pattern, replacement in key_map:
                name = re.sub(pattern, replacement, name)
        names[key] = name
    return names


def same_matrix(array, shape):
    """The array in that shape where nothing but axes of length 1, or a linear layer in place of a
    convolution over a whole map, makes the difference; else as it is."""
    if shape is None or array.size != np.prod(shape, dtype=int):
        return array
    without_ones = [[n for n in s if n > 1] for s in (array.shape, shape)]
    is_linear = {array.ndim, len(shape)} == {2, 4} and array.shape[0] == shape[0]
    return array.reshape(shape) if is_linear or without_ones[0] == without_ones[1] else array


def _named_like(state, like, key_map):
    names = our_names(like, state, key_map)
    found, wrong = StateDict(layout=TORCH_LAYOUT), []
    for key, name in names.items():
        shape = tuple(like[key].shape)
        if name not in state:
            wrong.append(f"{key} {shape}: the network has no {name}")
            continue
        found[key] = same_matrix(state[name], shape)
        if found[key].shape != shape:
            wrong.append(f"{key} {shape}: {name} of the network is {state[name].shape}")
    taken = set(names.values())
    wrong += [
        f"{name} {array.shape}: like has no such key"
        for name, array in state.items()
        if name not in taken and name.rpartition(".")[2] != OPTIONAL
    ]
    if wrong:
        raise StateDictError(
            "to_torch_state_dict: like must be a state dict of the same network; "
            f"{len(wrong)} keys do not fit:\n  " + "\n  ".join(wrong)
        )
    return found
