"""Whole networks through the CUDA kernels in the emulator: forward, backward, optimizer steps."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.backend.select import backends

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)


def lenet():
    return fc.models.create_model("lenet5"), (4, 32, 32, 1)


def mixed():
    """A little of everything that CNNs are made of."""
    layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
        nn.DepthwiseConv2d(8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Conv2d(8, 12, 1),
        nn.LocalResponseNorm(5),
        nn.Conv2d(12, 12, 3, padding=2, dilation=2, groups=3),
        nn.AvgPool2d(2),
        nn.Dropout(0.25),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    ]
    return nn.Sequential(*layers), (6, 33, 33, 3)


def train(backend, build, optimizer, steps=2):
    """Losses and parameters after some steps."""
    fc.manual_seed(3)
    model, shape = build()
    rng = np.random.default_rng(4)
    x = fc.tensor(rng.standard_normal(shape).astype(np.float32))
    labels = rng.integers(0, 10, shape[0])
    step = optimizer(model.parameters())
    losses = []
    with fc.use_backend(backend):
        for _ in range(steps):
            step.zero_grad()
            loss = fc.functional.cross_entropy(model(x), labels)
            loss.backward()
            step.step()
            losses.append(loss.item())
    return losses, [p.numpy() for p in model.parameters()]


OPTIMIZERS = {
    "sgd": lambda parameters: fc.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "adam": lambda parameters: fc.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("build", [lenet, mixed])
def test_training_steps_are_those_of_the_reference(build, optimizer):
    ours = train("emulator", build, OPTIMIZERS[optimizer])
    theirs = train("reference", build, OPTIMIZERS[optimizer])
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for a, b in zip(ours[1], theirs[1], strict=True):
        # Adam divides by the root of tiny squares: its first steps turn on a gradient's sign
        limit = 2e-4 if optimizer == "sgd" else 1e-2
        assert np.abs(a - b).max() <= limit * max(1e-2, np.abs(b).max())


def test_two_runs_give_the_same_bits():
    first = train("emulator", mixed, OPTIMIZERS["sgd"])
    again = train("emulator", mixed, OPTIMIZERS["sgd"])
    assert first[0] == again[0]
    for a, b in zip(first[1], again[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_inference_of_large_networks(name):
    fc.manual_seed(5)
    model = fc.models.create_model(name, num_classes=10).eval()
    x = np.random.default_rng(6).standard_normal((1, 32, 32, 3)).astype(np.float32)
    results = []
    for backend in ("emulator", "reference"):
        with fc.use_backend(backend), fc.no_grad():
            results.append(model(fc.tensor(x)).numpy())
    scale = np.abs(results[1]).max()
    assert np.abs(results[0] - results[1]).max() <= 1e-4 * scale
