"""What is measured: a network on real pictures, one inference and one training step."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastconv as fc
from fastconv.core import Spec, Tensor, own_copy, state
from fastconv.data import digit_batch, photograph_batch
from fastconv.errors import ArgumentError, FastconvError

STATISTICS = 4  # pictures: enough values for a variance in maps of 2x2
SMALL = (64, 96, 128, 160, 192)  # pixels of a side


@dataclass
class Workload:
    """A model with its input: the same steps on every backend, in any dtype, in meta mode."""

    name: str
    model: fc.nn.Module
    x: Tensor  # (N, H, W, C)
    labels: Tensor  # (N,) int64
    optimizer: fc.optim.SGD

    def infer(self) -> Tensor:
        """Logits in evaluation mode, nothing recorded."""
        if self.model.training:  # all modules are told, which takes time in a step of a few ms
            self.model.eval()
        with fc.no_grad():
            return self.model(self.x)

    def loss(self) -> Tensor:
        """The model's own loss where it has one (LeNet-5 of 1998), else cross-entropy."""
        if not self.model.training:
            self.model.train()
        y = self.model(self.x)
        own = getattr(self.model, "loss", None)
        return own(y, self.labels) if own else fc.functional.cross_entropy(y, self.labels)

    def train(self) -> None:
        """One training step: forward, backward, SGD with momentum."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def step(self, mode: str) -> Callable[[], object]:
        """infer or train."""
        return self.infer if mode == "inference" else self.train


def pictures(input_shape: tuple[int, int, int], batch: int) -> np.ndarray:
    """Real pictures for a network with this (H, W, C) input: digits or photographs."""
    height, width, channels = input_shape
    if height != width or channels not in (1, 3):
        raise ArgumentError(f"bench: no pictures for an input of shape {input_shape}")
    make = digit_batch if channels == 1 else photograph_batch
    return make(batch, height)


def labels_of(batch: int) -> np.ndarray:
    """Classes (N,), int64, that every network has."""
    return np.arange(batch, dtype="int64") % 10


_weights: dict[str, fc.nn.StateDict] = {}  # of the network built last: drawing them takes seconds


def _model(name, dtype):
    fc.manual_seed(0)
    if state.trace is not None:
        model = fc.models.create_model(name)
    elif name in _weights:
        with fc.nn.init.skipped():
            model = fc.models.create_model(name)
        model.load_state_dict(_weights[name])
    else:
        model = fc.models.create_model(name)
        _weights.clear()
        _weights[name] = model.state_dict()
    return model if dtype == "float32" else model.astype(dtype)


def build(
    name: str,
    batch: int,
    dtype: str = "float32",
    device: str = "cpu",
    shape: tuple[int, int, int] | None = None,
) -> Workload:
    """The network of that name with seeded weights and its pictures, on a device.

    shape: (H, W, C) of a picture; None: the network's own. Inside a meta Trace nothing is computed.
    """
    model = _model(name, dtype).to(device)
    fc.manual_seed(1)  # dropout masks must not depend on whether weights were drawn
    images = pictures(shape or fc.models.model_info(name).input_shape, batch)
    x = Tensor(own_copy(images, np.dtype(dtype), device))
    labels = Tensor(own_copy(labels_of(batch), np.dtype("int64"), device))
    optimizer = fc.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return Workload(name, model, x, labels, optimizer)


def take_statistics(model: fc.nn.Module, shape: tuple[int, int, int]) -> None:
    """Running statistics of STATISTICS pictures (H, W, C) in place of 0 and 1.

    Fresh ones let values fade or grow with the depth: GoogLeNet's logits would be its last bias,
    whatever the picture, and a wrong weight would not show.
    """
    norms = [m for m in model.modules() if isinstance(m, fc.nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.momentum = 1.0
    with fc.no_grad():
        model.train()(fc.tensor(pictures(shape, STATISTICS)))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


def takes(model: fc.nn.Module, shape: tuple[int, int, int, int]) -> bool:
    """Whether the network takes images (N, H, W, C) and its last map is 2x2 or more: of fewer
    values batch norm makes a sign, whose gradient is rounding."""
    images = Tensor(Spec(shape, np.dtype("float32")))
    with fc.Trace(meta=True), fc.no_grad():
        try:
            model(images)
            _, h, w, _ = model.forward_features(images).shape
        except FastconvError:
            return False
    return h > 1 and w > 1


def small_shape(name: str) -> tuple[int, int, int]:
    """(H, W, C) of the smallest of SMALL pictures that the network takes, or of its own."""
    info = fc.models.model_info(name)
    with fc.nn.init.skipped():
        model = fc.models.create_model(name)
    height, width, channels = info.input_shape
    for side in SMALL:
        if side <= min(height, width) and takes(model, (2, side, side, channels)):
            return side, side, channels
    return info.input_shape
