"""One of our networks against the same one in PyTorch, with the same weights and statistics.

The yardstick is PyTorch itself. Per tensor, noise = |torch in float32 - torch in float64| (the
Euclidean norm): ours in float32 may be FACTOR times that away from torch in float64, ours in
float64 FACTOR times that scaled by the ratio of the two precisions. Three things are added by
reason:
- in float32 rounding decides a few signs in front of ReLUs and a few maxima of pools (AlexNet of
  2012 starts with biases of 1 and small weights: many are nearly equal). Each takes an element of
  the gradient away or moves it: |gradient| * sqrt(2 * CHOICES / elements of the smallest map);
- the loss is one number, which torch in float32 may hit by chance; its gradient by the logits is
  shorter than 1, so it may be as far off as they may;
- torch sums statistics of float32 in double, so its noise says nothing of a sum of M values in the
  precision itself: sqrt(M) * eps * root mean square.
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv.bench.compare import smallest_map
from fastconv.bench.workload import takes
from fastconv.models import model_info
from tests.parity_table import Parity

torch = pytest.importorskip("torch")
F = torch.nn.functional

# in float64 torch rounds as much as we do, and its own error is in the difference
FACTOR = {"float32": 8, "float64": 32}
CHOICES = 16
EPS = {dtype: np.finfo(dtype).eps for dtype in ("float32", "float64")}
AUXILIARY_WEIGHT = 0.3  # Szegedy et al. 2014, section 5


# ---- the input


def small_shape(name, model):
    """NHWC of the smallest input that the network takes and whose last map is 2x2 or more; taller
    than wide, so that rows taken for columns show."""
    h, w, c = model_info(name).input_shape
    images = 3 if any(isinstance(m, fc.nn.BatchNorm2d) for m in model.modules()) else 2
    sides = [s for s in (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256) if s <= min(h, w)]
    for height, width in ((s + s // 2, s) for s in sides):
        shape = (images, height, width, c)
        if takes(model, shape):
            return shape
    return images, h, w, c


# ---- the weights


def perturbed(model, x, rng):
    """Dropout off; nothing at 1 or 0, where a mixed-up gamma or beta would not show.

    Weights are scaled by He's rule and running statistics begin with those of x, so that values
    neither fade out nor overflow at any depth: among nearly equal ones rounding picks the maxima.
    """
    for m in model.modules():
        if isinstance(m, fc.nn.Dropout | fc.nn.DropPath):
            m.p = 0.0
    for p in model.parameters():
        values = p.numpy()
        if values.size and (values == values.flat[0]).all():  # gamma, beta, biases, layer scale
            one = values.flat[0] == 1  # up to 2.5, so that a ReLU6 clips
            p.copy_(rng.uniform(0.5, 2.5, p.shape) if one else rng.normal(0, 0.2, p.shape))
        elif values.ndim > 1:
            fan_in = values[0].size
            p.copy_(values * np.sqrt(2 / fan_in / np.mean(values**2)))
    norms = [m for m in model.modules() if isinstance(m, fc.nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with fc.no_grad():
        model.train()(fc.tensor(x))
    for m, momentum in zip(norms, momenta):
        m.momentum = momentum
        mean, var = m.running_mean.numpy(), m.running_var.numpy()
        # every layer's scale enters the next one's: divided by less, values grow with the depth
        square = var + mean**2
        m.running_mean.copy_(mean + rng.normal(0, 0.1, mean.shape) * np.sqrt(square))
        m.running_var.copy_(square * rng.uniform(0.8, 1.8, var.shape) + 1e-3)
    return model


def torch_state(model, keys):
    """Our state dict as torch tensors by the peer's keys; keys: {the peer's: ours}."""
    arrays = fc.to_torch_state_dict(model)
    assert set(keys.values()) == set(arrays)
    return {theirs: torch.from_numpy(np.array(arrays[ours])) for theirs, ours in keys.items()}


def load_state(peer, state):
    """Strictly, shapes of 1x1 convolutions apart."""
    merged = peer.state_dict()  # it also knows the version that MNASNet asks for
    merged.update({key: in_shape(value, merged[key].shape) for key, value in state.items()})
    peer.load_state_dict(merged, strict=True)


def in_shape(array, shape):
    """A 1x1 convolution and a linear layer have the same weights in another shape."""
    sides = [[n for n in s if n > 1] for s in (array.shape, shape)]
    return array.reshape(tuple(shape)) if sides[0] == sides[1] else array


# ---- the two runs: logits in eval; then loss, gradients and new running statistics in training


def run_ours(model, x, labels):
    model.eval()
    with fc.no_grad():
        found = {"y in eval": model(fc.tensor(x)).numpy()}
    model.train().zero_grad()
    images = fc.tensor(x, requires_grad=True)
    y, *others = logits_of(model(images))
    loss = fc.functional.cross_entropy(y, fc.tensor(labels))
    for other in others:
        loss = loss + AUXILIARY_WEIGHT * fc.functional.cross_entropy(other, fc.tensor(labels))
    loss.backward()
    found |= {"y": y.numpy(), "loss": loss.numpy()}
    found["gradient of input"] = images.grad.numpy().transpose(0, 3, 1, 2)
    found |= torch_layout(model, {key: p.grad.numpy() for key, p in model.named_parameters()})
    return found | {k: v for k, v in fc.to_torch_state_dict(model).items() if "running" in k}


def torch_layout(model, gradients):
    """Gradients by key in PyTorch's layout: they travel the way that weights do."""
    for key, p in model.named_parameters():
        p.copy_(gradients[key])
    moved = fc.to_torch_state_dict(model)
    return {f"gradient of {key}": moved[key] for key in gradients}


def run_torch(model, x, labels, dtype, keys):
    """The same by our keys. keys: {the peer's: ours}."""
    model = model.to(getattr(torch, dtype)).eval()
    images = torch.from_numpy(np.ascontiguousarray(x.astype(dtype).transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(labels)
    with torch.no_grad():
        found = {"y in eval": model(images).numpy()}
    images.requires_grad_()
    y, *others = logits_of(model.train()(images))
    loss = F.cross_entropy(y, labels)
    for other in others:
        loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(other, labels)
    loss.backward()
    found |= {"y": y.detach().numpy(), "loss": loss.detach().numpy()}
    found["gradient of input"] = images.grad.numpy()
    for key, p in model.named_parameters():
        found[f"gradient of {keys[key]}"] = p.grad.numpy()
    state = {keys[k]: v.numpy() for k, v in model.state_dict().items()}
    return found | {k: v for k, v in state.items() if "running" in k}


def logits_of(y):
    """The logits, then those of auxiliary heads where the network has them."""
    return y if isinstance(y, tuple | list) else (y,)


# ---- the comparison


def length(array):
    """Euclidean norm, by NumPy's own sum: no threads of a BLAS."""
    return float(np.sqrt(np.square(array).sum()))


def compare(name, ours, peer, keys, x, labels) -> Parity:
    """AssertionError names the tensor that is further away than rounding explains.

    ours and peer have the same weights; keys: {the peer's: ours}.
    """
    start = {k: v.clone() for k, v in peer.state_dict().items()}
    ours_start = ours.state_dict()
    exact = run_torch(peer, x, labels, "float32", keys)
    single = {key: np.array(value) for key, value in exact.items()}
    peer.zero_grad()
    load_state(peer.double(), start)
    exact = run_torch(peer, x, labels, "float64", keys)
    noise = {key: length(single[key] - value) for key, value in exact.items()}
    del single

    elements = smallest_map(ours, x.shape)
    told, worst = {}, 0.0
    for dtype in ("float32", "float64"):
        ours.astype(dtype)
        ours.load_state_dict(ours_start)
        found = run_ours(ours, x.astype(dtype), labels)
        assert found.keys() == exact.keys()
        found = {key: in_shape(value, exact[key].shape) for key, value in found.items()}
        error = {}
        for key, value in exact.items():
            assert found[key].shape == value.shape and found[key].dtype == dtype, key
            error[key] = length(found[key] - value)
            bound = allowed(key, exact, noise, dtype, x.shape, elements)
            assert error[key] <= bound, (key, dtype, error[key], bound, length(value))
            worst = max(worst, error[key] / bound)
        gradients = [key for key in exact if key.startswith("gradient")]
        for column, tensors in (
            ("logits", ["y in eval"]), ("loss", ["loss"]), ("gradients", gradients),
        ):  # fmt: skip
            size = np.hypot.reduce([length(exact[key]) for key in tensors])
            told[column, dtype] = float(np.hypot.reduce([error[key] for key in tensors]) / size)
    return Parity(
        model_info(name).family,
        name,
        told["logits", "float32"],
        told["gradients", "float32"],
        told["logits", "float64"],
        told["loss", "float64"],
        told["gradients", "float64"],
        float(worst),
    )


def allowed(key, exact, noise, dtype, shape, elements):
    """The bound of this file's first lines for one tensor."""
    n, h, w, _ = shape
    size = length(exact[key])
    # a tensor that float32 happens to hit exactly still has its last bit
    bound = FACTOR[dtype] * EPS[dtype] * max(noise[key] / EPS["float32"], size)
    if key.startswith("gradient") and dtype == "float32":
        bound += size * np.sqrt(2 * CHOICES / elements)
    if key == "loss":
        bound += allowed("y", exact, noise, dtype, shape, elements)
    if "running" in key:
        variance = exact[key.replace("running_mean", "running_var")]
        spread = variance if key.endswith("var") else np.sqrt(variance)
        bound += np.sqrt(n * h * w) * EPS[dtype] * length(spread)
    return bound
