"""Is this installation sound? Versions, what was built, and a short test of every kernel family."""

import importlib.metadata
import platform
from dataclasses import dataclass, field

import numpy as np

import fastconv as fc
from fastconv.backend import gpu, memory_stats, select
from fastconv.bench import machine

PACKAGES = (
    *("numpy", "ml_dtypes", "safetensors", "pillow", "rich", "typer", "cupy", "torch"),
    "huggingface_hub",
)


@dataclass
class Report:
    """facts: name -> text. checks: name -> None if it passed, else what went wrong."""

    facts: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str | None] = field(default_factory=dict)


def examine() -> Report:
    """Look and test; takes about five seconds."""
    report = Report()
    report.facts |= {
        "fastconv": f"{fc.__version__} ({machine.commit()})",
        "python": platform.python_version(),
        **{name: _package_version(name) for name in PACKAGES},
        "processor": machine.processor_name(),
        "CPU kernels": "built" if select.NATIVE_BUILT else "not built: NumPy does the work",
        "ISA": machine.isa(),
        "threads": str(machine.thread_count()),
        "CUDA kernels": "built" if gpu.CUDA_BUILT else "not built (no nvcc, or not wanted)",
        "emulator": "built"
        if "emulator" in select.backends()
        else "not built (compiled at its first use)",
        "GPU": select.gpu_status(),
        "devices": ", ".join(fc.devices()),
    }
    for name, run in _checks().items():
        try:
            run()
            report.checks[name] = None
        except Exception as error:
            # a doctor reports every failure, whatever its class, and goes on with the next check
            report.checks[name] = f"{type(error).__name__}: {error}"
    return report


def _package_version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _checks():
    checks = {
        "LeNet-5: forward, backward, SGD step": _train_lenet,
        "same bits in two runs": _same_bits,
        "pictures decode": lambda: fc.data.photograph_batch(1, 64),
    }
    if select.NATIVE_BUILT:
        checks |= {
            "conv2d kernels bit-equal to NumPy on integers": _conv2d_exact,
            "memory given back": _memory_returned,
        }
    return checks


def _integers(shape, seed):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def _conv2d_exact():
    x, w = _integers((2, 13, 11, 8), 0), _integers((16, 3, 3, 8), 1)
    # the default of the first would round: Winograd
    for stride, groups, algorithm in ((1, 1, "implicit"), (2, 1, None), (1, 2, None), (2, 8, None)):
        weights = np.ascontiguousarray(w[..., : 8 // groups])
        with fc.use_algorithm(algorithm):
            y = fc.functional.conv2d(x, weights, stride=stride, padding=1, groups=groups)
        with fc.use_backend("reference"):
            expected = fc.functional.conv2d(x, weights, stride=stride, padding=1, groups=groups)
        if not np.array_equal(y, expected):
            differ = int((y != expected).sum())
            raise AssertionError(f"stride {stride}, groups {groups}: {differ} values differ")


def _lenet_weights():
    fc.manual_seed(0)
    model = fc.models.create_model("lenet5")
    optimizer = fc.optim.SGD(model.parameters(), lr=0.05)
    x = fc.tensor(fc.data.digit_batch(10))
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = fc.functional.cross_entropy(model(x), fc.tensor(np.arange(10)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.numpy() for p in model.parameters()]


def _train_lenet():
    losses, _ = _lenet_weights()
    if not losses[-1] < losses[0]:
        raise AssertionError(f"the loss does not fall: {losses}")


def _same_bits():
    for a, b in zip(_lenet_weights()[1], _lenet_weights()[1], strict=True):
        if not np.array_equal(a, b):
            raise AssertionError("two runs with one seed gave different weights")


def _memory_returned():
    before = memory_stats()["live_bytes"]
    _lenet_weights()
    left = memory_stats()["live_bytes"] - before
    if left:
        raise AssertionError(f"{left} bytes are still held after the model is gone")
