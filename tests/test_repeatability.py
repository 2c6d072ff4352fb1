"""The same bits from every run and every number of threads: forward, gradients, a training step."""

import hashlib

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend import backends, num_threads
from tests.case import Case, Input
from tests.cases import CASES

THREADS = (1, 2, 3)
HAVE_THREADS = "cpu" in backends()  # NumPy's own are not ours to set


def wide(function, *shapes, label="wide", **arguments):
    """A problem large enough for every thread to get a part of it."""
    inputs = tuple(s if isinstance(s, Input) else Input(s) for s in shapes)
    return Case(function, inputs, arguments, label)


WIDE = [
    wide("conv2d", (4, 28, 28, 32), (48, 3, 3, 32), padding=1),
    wide("conv2d", (4, 28, 28, 64), (64, 1, 1, 64), (64,)),
    wide("conv2d", (2, 56, 56, 3), (32, 7, 7, 3), stride=2, padding=3),
    wide("conv2d", (4, 28, 28, 64), (64, 3, 3, 1), groups=64, padding=1),
    wide("conv2d", (2, 28, 28, 64), (64, 3, 3, 16), groups=4, padding=1),
    wide("linear", (128, 512), (300, 512), (300,)),
    wide("matmul", (257, 511), (511, 129)),
    wide("max_pool2d", (4, 56, 56, 32), kernel_size=3, stride=2, padding=1),
    wide("avg_pool2d", (4, 56, 56, 32), kernel_size=3, stride=2, padding=1),
    wide("adaptive_avg_pool2d", (8, 14, 14, 256), output_size=1),
    wide("relu", (4, 56, 56, 64)),
    wide("gelu", (4, 56, 56, 64)),
    wide("add", (4, 56, 56, 64), (4, 56, 56, 64)),
    wide("add", (4, 56, 56, 64), (64,)),
    wide("mul", (4, 56, 56, 64), (4, 1, 1, 64)),
    wide("add_act", (4, 56, 56, 64), (4, 56, 56, 64), act="relu"),
    wide("mean", (8, 56, 56, 64), axis=(1, 2)),
    wide("softmax", (512, 1000)),
    wide("cross_entropy", (512, 1000), Input((512,), "labels", 1000)),
    wide("mse_loss", (512, 1000), (512, 1000)),
    wide("dropout", (4, 56, 56, 64), p=0.3),
    wide("layer_norm", (512, 768), (768,), (768,)),
    Case(
        "getitem",
        (Input((50, 64)),),
        label="rows with repetition",
        call=lambda x: x[np.arange(5000) % 37],
    ),
]


def digest(case):
    """Hash of all outputs and gradients in float32."""
    bits = hashlib.sha256()
    xs = case.tensors(case.draw("float32"))
    outputs = case.run(xs)
    for y in outputs:
        bits.update(np.ascontiguousarray(y.data).tobytes())
    y = next((y for y in outputs if y.requires_grad), None)
    if y is not None:
        y.backward(np.random.default_rng(3).standard_normal(y.shape).astype(y.dtype))
        for x in xs:
            if x.grad is not None:
                bits.update(x.grad.data.tobytes())
    return bits.hexdigest()


@pytest.fixture
def threads():
    """Gives the number of threads back after the test."""
    before = num_threads() if HAVE_THREADS else None
    yield
    if HAVE_THREADS:
        fc.set_num_threads(before)


def check(case):
    wanted = digest(case)
    assert digest(case) == wanted
    for n in THREADS if HAVE_THREADS else ():
        fc.set_num_threads(n)
        assert num_threads() == n
        assert digest(case) == wanted, f"{n} threads"


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("case", WIDE, ids=lambda c: c.name)
def test_wide_problems(case):
    check(case)


@pytest.mark.usefixtures("threads")
def test_every_case():
    for case in CASES:
        if not case.mutates:
            check(case)


def training_bits(steps=3):
    """Hash of a small network's parameters after a few steps, from one seed."""
    fc.manual_seed(5)
    model = fc.nn.Sequential(
        fc.nn.Conv2d(3, 24, 3, padding=1),
        fc.nn.BatchNorm2d(24),
        fc.nn.ReLU(),
        fc.nn.MaxPool2d(2),
        fc.nn.Flatten(),
        fc.nn.Dropout(0.2),
        fc.nn.Linear((12, 12, 24), 10),
    )
    optimizer = fc.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        x = fc.tensor(rng.standard_normal((16, 24, 24, 3)), dtype="float32")
        loss = fc.functional.cross_entropy(model(x), rng.integers(0, 10, 16))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    bits = hashlib.sha256()
    for p in model.parameters():
        bits.update(p.data.tobytes())
    return bits.hexdigest()


@pytest.mark.usefixtures("threads")
def test_a_training_run():
    wanted = training_bits()
    assert training_bits() == wanted
    for n in THREADS if HAVE_THREADS else ():
        fc.set_num_threads(n)
        assert training_bits() == wanted, f"{n} threads"
    assert training_bits(steps=2) != wanted
