"""Networks on CuPy arrays (tests/fake_cupy.py): no op forgets where its inputs lie."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend.select import backends, device_of

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from tests import fake_cupy
from tests.emulator.test_network_emulator import lenet, mixed


def train(build, device, backend):
    """The loss and all parameters after one step, and where they lie."""
    fc.manual_seed(3)
    model, shape = build()
    model.to(device)
    rng = np.random.default_rng(4)
    x = fc.tensor(rng.standard_normal(shape).astype(np.float32), device=device)
    labels = fc.tensor(rng.integers(0, 10, shape[0]), device=device)
    optimizer = fc.optim.AdamW(model.parameters(), lr=1e-2)
    with fc.use_backend(backend):
        loss = fc.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        with fc.no_grad():
            logits = model.eval()(x)
    places = {device_of(t.data) for t in (loss, logits, *model.parameters(), *model.buffers())}
    places |= {device_of(p.grad.data) for p in model.parameters()}
    return [t.numpy() for t in (loss, logits, *model.parameters())], places


@pytest.mark.parametrize("build", [lenet, mixed])
@pytest.mark.parametrize(("backend", "here"), [("cpu", "emulator"), ("reference", "reference")])
def test_a_training_step_gives_the_bits_of_numpy_arrays(build, backend, here, monkeypatch):
    """Under "cpu", as by default, CuPy arrays go to the CUDA kernels; under "reference" to CuPy."""
    fake_cupy.install(monkeypatch)
    assert fc.devices()[1:] == ["cuda:0"]
    ours, places = train(build, "cuda", backend)
    assert places == {"cuda:0"}
    theirs, places = train(build, "cpu", here)
    assert places == {"cpu"}
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fake_refuses_what_cupy_refuses():
    cupy = fake_cupy.FakeCupy()
    a, b = cupy.asarray(np.ones(3)), np.ones(3)
    for mix in (lambda: a + b, lambda: b + a, lambda: cupy.add(a, b), lambda: np.asarray(a)):
        with pytest.raises(TypeError, match=r"Unsupported|Implicit"):
            mix()
    with pytest.raises(TypeError, match="Unsupported"):
        a[...] = b
    assert type(a + 1) is type(cupy.sum(a)) is fake_cupy.ndarray
