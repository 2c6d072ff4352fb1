"""Published facts of the networks (tests/data) under our names, and meta traces to compare."""

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np

import fastconv as fc
from fastconv.core import Spec, Tensor
from fastconv.models import create_model, list_models, model_info
from tests import zoo

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "architectures.json").read_text())
FACTS = {a["name"]: a for a in REFERENCE["architectures"]}
KERAS = {a["name"]: a for a in REFERENCE["keras_applications"]}
KERAS_ALEXNET_BN = KERAS["keras:lecture004_alexnet_bn_100"]
# torchvision's networks that we have
CHECKPOINTS = {
    p.stem: p for p in sorted((DATA / "state_dict_keys").glob("*.json")) if p.stem in list_models()
}

# every file of tests/zoo says for its family:
#   NAMES   our name -> name in the facts, where they differ
#   STAGES  stage name of the facts -> path of our module, where they differ
# and where needed
#   STAGES_OF    the same for one network: our name -> STAGES
#   DETAILS      our name -> details in which the facts are not the paper's network, and why
#   REPLACED     our name -> other facts that cannot hold for us, and why
#   GLOBAL_POOL  our name -> window of an average pooling that we have as AdaptiveAvgPool2d(1)
#   PEERS        our name -> the same network elsewhere: "torchvision:NAME" or "timm:NAME"
#   as_published as_published(model) -> the peer's model, where timm departs from the published
# and may have derived(FACTS, KERAS): (name, facts) of networks that only Keras' counts know
_families = {m.name: import_module(f"tests.zoo.{m.name}") for m in iter_modules(zoo.__path__)}
NAMES = {ours: theirs for m in _families.values() for ours, theirs in m.NAMES.items()}
PEERS = {k: v for m in _families.values() for k, v in getattr(m, "PEERS", {}).items()}
AS_PUBLISHED = {f: m.as_published for f, m in _families.items() if hasattr(m, "as_published")}
for _family in _families.values():
    if hasattr(_family, "derived"):
        FACTS |= dict(_family.derived(FACTS, KERAS))


def family_says(name, what):
    """What tests/zoo says under that name about one of our networks, or {}."""
    return getattr(_families[model_info(name).family], what, {}).get(name, {})


def facts(name):
    """The published facts of one of our networks, with the exceptions that tests/zoo explains."""
    published = FACTS[NAMES.get(name, name)]
    replaced = family_says(name, "REPLACED")
    details = published["details"] | replaced.get("details", {}) | family_says(name, "DETAILS")
    return published | replaced | {"details": details}


def stages(name):
    """(module name, (1, H, W, C) or (1, features)) of every published stage."""
    renamed = {"fl": "flatten"} | _families[model_info(name).family].STAGES
    renamed |= family_says(name, "STAGES_OF")
    for stage, (channels, *size) in facts(name)["stages"].items():
        yield renamed.get(stage, stage), (1, *size, channels)


def meta_input(shape):
    """A tensor of that shape without values."""
    return Tensor(Spec(shape, np.dtype("float32")))


class Shapes(fc.Trace):
    """A meta Trace that also notes the last output shape of every module, containers included."""

    def __init__(self):
        super().__init__(meta=True, on_exit=self.note)
        self.shapes = {}

    def note(self, op, record):
        for module in self.modules:
            self.shapes[module] = record.outputs[0][0]


def options(name):
    """What create_model needs for the network that the facts count: auxiliary heads, mostly."""
    return {"aux_heads": True} if "params_of_aux" in facts(name) else {}


@cache
def traced(name):
    """(model, Shapes of one image in eval mode, output shape)."""
    with Shapes() as trace, fc.no_grad():
        model = create_model(name, **options(name)).eval()
        y = model(meta_input((1, *model_info(name).input_shape)))
    return model, trace, y.shape


def layers(name, kind):
    """The modules of that kind, in order of definition."""
    return [m for m in traced(name)[0].modules() if isinstance(m, kind)]


def maps(name):
    """(H, W, C) of the output of every op on one image, in order; linear layers as (1, 1, C)."""
    shapes = [r.outputs[0][0] for r in traced(name)[1].records]
    return [s[1:] if len(s) == 4 else (1, 1, *s[1:]) for s in shapes]


def in_order(part, whole):
    """Whether the items of part come in whole in this order, others between them."""
    rest = iter(whole)
    return all(item in rest for item in part)
