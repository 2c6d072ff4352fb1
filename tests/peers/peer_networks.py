"""The same networks in torchvision, timm and tests/peers/twins, by our names."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from fastconv.models import model_info
from tests.model_facts import AS_PUBLISHED, PEERS
from tests.peers import twins

torch = pytest.importorskip("torch")

# PyPI's torchvision has its operators for another build of torch (CUDA): its library of them does
# not load beside torch's CPU build, and the package ends with an error unless these two are
# declared; networks need none of them. The object withdraws the declarations when it is collected.
try:
    import torchvision
except RuntimeError:
    DECLARED = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        DECLARED.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
timm = pytest.importorskip("timm")

TWINS = {
    name: build
    for module in iter_modules(twins.__path__)
    for name, build in import_module(f"tests.peers.twins.{module.name}").TWINS.items()
}
COMPARED = {*PEERS, *TWINS}
# they train with further classifiers; PyTorch's says so by a warning unless init_weights is given
AUXILIARY = ("googlenet", "inception_v3")


def build(name, num_classes, aux_heads=False):
    """The peer, or else the twin, of one of our networks."""
    if name not in PEERS:
        return TWINS[name](num_classes)
    library, theirs = PEERS[name].split(":")
    if library == "timm":
        model = timm.create_model(theirs, pretrained=False, num_classes=num_classes)
        return AS_PUBLISHED.get(model_info(name).family, lambda model: model)(model)
    options = {"aux_logits": aux_heads, "init_weights": False} if theirs in AUXILIARY else {}
    return torchvision.models.get_model(theirs, weights=None, num_classes=num_classes, **options)


def comparable(model):
    """Dropout and stochastic depth off, by the attributes that torchvision and timm use; and the
    one function that torch rounds."""
    for m in model.modules():
        for attribute in ("p", "drop_prob", "drop_rate"):
            if isinstance(getattr(m, attribute, None), float):
                setattr(m, attribute, 0.0)
        if isinstance(m, torch.nn.Hardsigmoid):  # torch's gradient is 1/6 in float32 even in double
            m.forward = lambda x: torch.nn.functional.relu6(x + 3) / 6
    return model
