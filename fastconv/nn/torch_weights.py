"""PyTorch's state dicts to ours and back.

    convolution             (O, I/groups, R, S) <-> (O, R, S, I/groups)
    transposed convolution  (I, O/groups, R, S) <-> (I, R, S, O/groups)
    Linear((H, W, C), ...)  columns in the order C, H, W <-> H, W, C
everything else is the same. Each module says its own difference: Module.torch_view.
"""

from fastconv.errors import LayoutError
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


def to_torch_state_dict(model) -> StateDict:
    """NumPy arrays by PyTorch's names in its layout: torchvision loads them with strict=True.

    `{k: torch.from_numpy(v) for k, v in fc.to_torch_state_dict(model).items()}`
    """
    state = StateDict(take(model), TORCH_LAYOUT)
    for key, module, name, _ in named_state(model):
        view = module.torch_view(name)
        if view is not None:
            state[key] = view.to_theirs(state[key])
    return state
