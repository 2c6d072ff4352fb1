"""Answers before times, PyTorch in float64 being right and PyTorch in float32 the yardstick.

Logits in eval; then, without dropout, logits and loss in training and the gradient of every weight.
"""

import numpy as np
import torch

import fastconv as fc
from fastconv.bench.compare import IMAGES, chosen_otherwise, share_of_allowed, smallest_map
from fastconv.bench.torch_peer import loaded
from fastconv.bench.torch_sources import build
from fastconv.bench.workload import build as build_ours
from fastconv.bench.workload import take_statistics

# where torchvision, timm and fastconv keep how much they drop
DROPS = ("p", "drop_prob", "drop_rate")
EPS = float(np.finfo("float32").eps)
LOGITS, TRAINED, LOSS = "logits", "logits in training", "loss"
EXACT = "PyTorch in float64"


def without_dropout(model) -> None:
    """Neither activations nor whole branches of a network, ours or PyTorch's, are dropped."""
    for module in model.modules():
        for attribute in DROPS:
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 0.0)


def compare_answers(name: str, shape: tuple[int, int, int], training: bool) -> dict[str, float]:
    """{what: our error relative to float64} of IMAGES pictures (H, W, C), and the worst share of
    what compare.py allows; MismatchError names what is further off."""
    work = build_ours(name, IMAGES, shape=shape)
    take_statistics(work.model, shape)
    net = build(name)
    weights = fc.to_torch_state_dict(work.model, like=net.state_dict())
    images = torch.from_numpy(work.x.numpy()).permute(0, 3, 1, 2)
    labels = torch.from_numpy(work.labels.numpy())
    for model in (work.model, net):
        without_dropout(model)
    single = _theirs(loaded(net, weights), images, labels, training)
    exact = _theirs(loaded(net, weights, dtype="float64"), images.double(), labels, training)
    return _judged(name, _ours(work, net, training), single, exact, work)


def _theirs(net, images, labels, training):
    """({what: its float64 array}, {name of a parameter: its gradient})."""
    with torch.no_grad():
        found = {LOGITS: net.eval()(images).double().numpy()}
    if not training:
        return found, {}
    net.zero_grad()
    y = net.train()(images)
    loss = torch.nn.functional.cross_entropy(y, labels)
    loss.backward()
    found |= {TRAINED: y.detach().double().numpy(), LOSS: loss.detach().double().numpy()}
    # copies: the next dtype takes their place
    return found, {k: p.grad.numpy().copy() for k, p in net.named_parameters()}


def _ours(work, net, training):
    """The same by PyTorch's names."""
    found = {LOGITS: work.infer().numpy().astype("float64")}
    if not training:
        return found, {}
    model = work.model.train()
    y = model(work.x)
    loss = fc.functional.cross_entropy(y, work.labels)
    loss.backward()
    found |= {TRAINED: y.numpy().astype("float64"), LOSS: loss.numpy().astype("float64")}
    # gradients get their names and layouts as weights do: in the weights' place
    for p in model.parameters():
        p.copy_(p.grad.numpy())
    moved = fc.to_torch_state_dict(model, like=net.state_dict())
    return found, {k: moved[k] for k, _ in net.named_parameters()}


def _judged(name, ours, single, exact, work):
    worst, errors = 0.0, {}
    noise_of = {key: _length(single[0][key] - y) for key, y in exact[0].items()}
    for key, y in exact[0].items():
        # one number may be hit by chance; it is as far off as the logits that it is made of
        noise = max(noise_of[key], noise_of[TRAINED]) if key == LOSS else noise_of[key]
        size, error = _length(y), _length(ours[0][key] - y)
        share = share_of_allowed(f"{name}: {key}", size, error, noise, EPS, exact=EXACT)
        worst, errors[key] = max(worst, share), error / size
    if exact[1]:
        gradients = _gradients(name, ours[1], single[1], exact[1], work)
        worst, errors["gradients"] = max(worst, gradients[0]), gradients[1]
    return errors | {"share_of_allowed": worst}


def _gradients(name, ours, single, exact, work):
    """(worst share of what is allowed, relative error of all as one vector)."""
    choices = chosen_otherwise(smallest_map(work.model, work.x.shape), EPS)
    shares, errors, sizes = [], [], []
    for key, g in exact.items():
        size, error, noise = (_length(a) for a in (g, ours[key] - g, single[key] - g))
        what = f"{name}: gradient of {key}"
        shares.append(share_of_allowed(what, size, error, noise, EPS, choices, EXACT))
        errors.append(error)
        sizes.append(size)
    return max(shares), _length(errors) / _length(sizes)


def _length(array):
    return float(np.linalg.norm(array))
