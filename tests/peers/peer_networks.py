"""The same networks in torchvision, timm and tests/peers/twins, by our names."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from fastconv.models import model_info
from tests.model_facts import AS_PUBLISHED, PEERS
from tests.peers import twins

torch = pytest.importorskip("torch")
sources = import_module("fastconv.bench.torch_sources")
torchvision, timm = sources.load_torchvision(), sources.load_timm()
if None in (torchvision, timm):
    pytest.skip("torchvision and timm are not both installed", allow_module_level=True)

TWINS = {
    name: build
    for module in iter_modules(twins.__path__)
    for name, build in import_module(f"tests.peers.twins.{module.name}").TWINS.items()
}
COMPARED = {*PEERS, *TWINS}


def build(name, num_classes, aux_heads=False):
    """The peer, or else the twin, of one of our networks."""
    if name not in PEERS:
        return TWINS[name](num_classes)
    model = sources.build(name, num_classes, aux_heads)
    return AS_PUBLISHED.get(model_info(name).family, lambda model: model)(model)


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
