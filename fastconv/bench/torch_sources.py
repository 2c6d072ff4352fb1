"""Our networks in PyTorch, by our names: torchvision's, else those restated here, else timm's.

torchvision and timm need not be installed; what is restated (torch_networks.py) needs no more
than PyTorch.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch

from fastconv.bench.torch_networks import TWINS
from fastconv.models import model_info

# they train with further classifiers; torchvision warns unless init_weights is given
AUXILIARY = ("googlenet", "inception_v3")


@cache
def load_torchvision():
    """The package, or None where it is not installed."""
    if find_spec("torchvision") is None:
        return None
    try:
        return import_module("torchvision")
    except RuntimeError:
        _declared_operators()
        return import_module("torchvision")


@cache  # which keeps the object: it withdraws the declarations when it is collected
def _declared_operators():
    """PyPI's torchvision has its operators for another build of PyTorch (CUDA): its library of them
    does not load beside the CPU build, and the package ends with an error unless these two are
    declared. Networks need none of them."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


@cache
def load_timm():
    """The package, or None where it is not installed."""
    if find_spec("timm") is None:
        return None
    load_torchvision()  # which timm imports
    return import_module("timm")


def source(name: str) -> str | None:
    """Where PyTorch's network of one of our names is: "torchvision:NAME", "timm:NAME" or
    "restated:NAME"; None: nowhere."""
    if load_torchvision() is not None and name in load_torchvision().models.list_models():
        return f"torchvision:{name}"
    if name in TWINS:
        return f"restated:{name}"
    if load_timm() is not None:
        for theirs in _timms_names(model_info(name)):
            if load_timm().is_model(theirs):
                return f"timm:{theirs}"
    return None


def _timms_names(info):
    """What it may be called there: other networks have had some of our names."""
    yield from info.aliases
    owner, _, repository = (info.weights or "").partition("/")
    if owner == "timm":
        yield repository.partition(".")[0]  # "timm/resnet18.tv_in1k"
    yield info.name


def build(name: str, num_classes: int | None = None, aux_heads: bool = False) -> torch.nn.Module:
    """PyTorch's network of one of our names, which source() knows, with fresh weights.

    num_classes: None stands for the published network's. aux_heads: with the further classifiers
    that GoogLeNet and Inception-v3 train with.
    """
    library, _, theirs = source(name).partition(":")
    classes = model_info(name).num_classes if num_classes is None else num_classes
    if library == "restated":
        return TWINS[theirs](classes)
    if library == "timm":
        return load_timm().create_model(theirs, pretrained=False, num_classes=classes)
    options = {"aux_logits": aux_heads, "init_weights": False} if theirs in AUXILIARY else {}
    return load_torchvision().models.get_model(theirs, weights=None, num_classes=classes, **options)
