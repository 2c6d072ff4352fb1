"""Networks against PyTorch twins with the same weights: outputs, all gradients, running statistics.

The yardstick is PyTorch itself. Per tensor, noise = |torch in float32 - torch in float64| (the
Euclidean norm): ours in float32 may be FACTOR times that away from torch in float64, ours in
float64 FACTOR times that scaled by the ratio of the two precisions. Two things are added by reason:
- in float32 rounding decides a few signs in front of ReLUs and a few maxima of pools (AlexNet of
  2012 starts with biases of 1 and small weights: many are nearly equal). Each takes an element of
  the gradient away or moves it: |gradient| * sqrt(2 * CHOICES / elements of the smallest map);
- torch sums statistics of float32 in double, so its noise says nothing of a sum of M values in the
  precision itself: sqrt(M) * eps * root mean square.
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv.bench.compare import smallest_map
from fastconv.bench.torch_networks import alexnet, alexnet_2012, lenet5, resnet, vgg
from fastconv.models import create_model
from fastconv.models.vgg import BLOCKS, VGG

torch = pytest.importorskip("torch")
tnn = torch.nn

pytestmark = pytest.mark.peers

# in float64 torch rounds as much as we do, and its own error is in the difference
FACTOR = {"float32": 8, "float64": 32}
CHOICES = 4
EPS = {dtype: np.finfo(dtype).eps for dtype in ("float32", "float64")}


def _cases():
    """name: (ours, PyTorch's twin, NHWC shape)."""
    yield "lenet5", lambda: create_model("lenet5"), lambda: lenet5(10), (4, 32, 32, 1)
    yield (
        "alexnet",
        lambda: create_model("alexnet", num_classes=9),
        lambda: alexnet(9),
        (2, 127, 95, 3),
    )
    yield (
        "alexnet_2012",
        lambda: create_model("alexnet_2012", num_classes=9),
        lambda: alexnet_2012(9),
        (1, 227, 227, 3),
    )
    yield (
        "vgg11_bn",
        lambda: VGG(BLOCKS[11], True, 9, map_size=2, hidden=96),
        lambda: vgg(BLOCKS[11], 9, 2, 96),
        (3, 64, 96, 3),
    )
    for name, depth, options in (
        ("resnet18", 18, {}),
        ("resnet50", 50, {}),
        ("resnet50_v1", 50, {"v1": True}),
        ("plain18", 18, {"shortcut": False}),
    ):
        yield (
            name,
            lambda name=name: create_model(name, num_classes=9),
            lambda depth=depth, options=options: resnet(depth, 9, **options),
            (3, 96, 64, 3),
        )


CASES = {name: case for name, *case in _cases()}


def perturbed(model, rng):
    """Dropout off; batch norm away from 1, 0, so that a mixed-up gamma or beta shows."""
    for m in model.modules():
        if isinstance(m, fc.nn.Dropout):
            m.p = 0.0
        if isinstance(m, fc.nn.BatchNorm2d):
            m.weight.copy_(rng.uniform(0.5, 1.5, m.weight.shape))
            m.bias.copy_(rng.normal(0, 0.2, m.bias.shape))
    return model


def run_ours(model, x, labels):
    y = model(fc.tensor(x))
    fc.functional.cross_entropy(y, fc.tensor(labels)).backward()
    gradients = torch_layout(model, {key: p.grad.numpy() for key, p in model.named_parameters()})
    statistics = {k: v for k, v in fc.to_torch_state_dict(model).items() if "running" in k}
    model.eval()
    with fc.no_grad():
        y_eval = model(fc.tensor(x))
    return {"y": y.numpy(), "y in eval": y_eval.numpy()} | gradients | statistics


def torch_layout(model, gradients):
    """Gradients by key in PyTorch's layout: they travel the way that weights do."""
    kept = model.state_dict()
    for key, p in model.named_parameters():
        p.copy_(gradients[key])
    moved = fc.to_torch_state_dict(model)
    model.load_state_dict(kept)
    return {f"gradient of {key}": moved[key] for key in gradients}


def run_torch(model, x, labels, dtype):
    model = model.to(getattr(torch, dtype)).train()
    images = torch.from_numpy(np.ascontiguousarray(x.astype(dtype).transpose(0, 3, 1, 2)))
    y = model(images)
    tnn.functional.cross_entropy(y, torch.from_numpy(labels)).backward()
    found = {"y": y.detach().numpy()}
    for key, p in model.named_parameters():
        found[f"gradient of {key}"] = p.grad.numpy().copy()
    found |= {k: v.numpy().copy() for k, v in model.state_dict().items() if "running" in k}
    model.eval()
    with torch.no_grad():
        return found | {"y in eval": model(images).numpy()}


def allowed(key, exact, noise, dtype, shape, elements):
    """The bound of this file's first lines for one tensor."""
    n, h, w, _ = shape
    size = np.linalg.norm(exact[key])
    # a tensor that float32 happens to hit exactly still has its last bit
    bound = FACTOR[dtype] * EPS[dtype] * max(noise / EPS["float32"], size)
    if key.startswith("gradient") and dtype == "float32":
        bound += size * np.sqrt(2 * CHOICES / elements)
    if "running" in key:
        variance = exact[key.replace("running_mean", "running_var")]
        spread = variance if key.endswith("var") else np.sqrt(variance)
        bound += np.sqrt(n * h * w) * EPS[dtype] * np.linalg.norm(spread)
    return bound


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.full] * (n in ("resnet50_v1", "plain18"))) for n in CASES],
)
def test_same_outputs_gradients_and_statistics(name):
    ours, twin, shape = CASES[name]
    rng = np.random.default_rng(7)
    fc.manual_seed(7)
    x = rng.standard_normal(shape).astype("float32")
    labels = rng.integers(0, 9, shape[0])
    ours = perturbed(ours(), rng)
    start = {k: torch.from_numpy(np.array(v)) for k, v in fc.to_torch_state_dict(ours).items()}
    ours_start = ours.state_dict()

    torchs = {}
    for dtype in ("float32", "float64"):
        model = twin()
        model.load_state_dict(start, strict=True)
        for m in model.modules():
            if isinstance(m, tnn.Dropout):
                m.p = 0.0
        torchs[dtype] = run_torch(model, x, labels, dtype)
        del model
    exact = torchs["float64"]
    noise = {key: np.linalg.norm(torchs["float32"][key] - v) for key, v in exact.items()}

    elements = smallest_map(ours, shape)
    for dtype in ("float32", "float64"):
        ours.astype(dtype).train().zero_grad()
        ours.load_state_dict(ours_start)
        found = run_ours(ours, x.astype(dtype), labels)
        assert found.keys() == exact.keys()
        for key, value in exact.items():
            assert found[key].shape == value.shape and found[key].dtype == dtype, key
            error = np.linalg.norm(found[key] - value)
            bound = allowed(key, exact, noise[key], dtype, shape, elements)
            assert error <= bound, (key, dtype)
