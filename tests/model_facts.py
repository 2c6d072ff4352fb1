"""Published facts of the networks (tests/data) under our names, and meta traces to compare."""

import json
from functools import cache
from pathlib import Path

import numpy as np

import fastconv as fc
from fastconv.core import Spec, Tensor
from fastconv.models import create_model, model_info

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "architectures.json").read_text())
FACTS = {a["name"]: a for a in REFERENCE["architectures"]}
(KERAS_ALEXNET_BN,) = REFERENCE["keras_applications"]
CHECKPOINTS = {p.stem: p for p in sorted((DATA / "state_dict_keys").glob("*.json"))}

# our name -> name in the facts, where they differ
NAMES = {
    "lenet5": "lenet5_modern_32",
    "alexnet": "alexnet_torchvision",
    "alexnet_2012": "alexnet_2012_grouped",
    "alexnet_single": "alexnet_single_stream",
    "alexnet_003": "alexnet_lecture003_two_fc",
    "alexnet_bn": "alexnet_single_stream_100cls_nobn",
    "vgg11_cifar": "vgg11_cifar32_fc2048",
    "resnet50": "resnet50_v1.5",
    "resnet101": "resnet101_v1.5",
    "resnet152": "resnet152_v1.5",
}

VGG11_FEATURES = (
    "conv1_1", None, "pool1", "conv2_1", None, "pool2", "conv3_1", None, "conv3_2", None, "pool3",
    "conv4_1", None, "conv4_2", None, "pool4", "conv5_1", None, "conv5_2", None, "pool5",
)  # fmt: skip

# stage names of the facts -> names of our modules, where they differ
STAGES = {
    "lenet": {s: s.lower() for s in ("C1", "S2", "C3", "S4", "C5", "F6", "RBF")},
    "alexnet": {},
    "vgg": {f"fc{6 + i}": f"classifier.{3 * i}" for i in range(3)}
    | {name: f"features.{i}" for i, name in enumerate(VGG11_FEATURES) if name},
    "resnet": {"gap": "avgpool"} | {f"conv{i + 1}_x": f"layer{i}" for i in (1, 2, 3, 4)},
}


def facts(name):
    """The published facts of one of our networks."""
    return FACTS[NAMES.get(name, name)]


def stages(name):
    """(module name, (1, H, W, C) or (1, features)) of every published stage."""
    renamed = STAGES[model_info(name).family] | {"fl": "flatten"}
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


@cache
def traced(name):
    """(model, Shapes of one image in eval mode, output shape)."""
    with Shapes() as trace, fc.no_grad():
        model = create_model(name).eval()
        y = model(meta_input((1, *model_info(name).input_shape)))
    return model, trace, y.shape


def layers(name, kind):
    """The modules of that kind, in order of definition."""
    return [m for m in traced(name)[0].modules() if isinstance(m, kind)]
