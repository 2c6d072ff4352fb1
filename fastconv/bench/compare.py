"""Answers before times: fastconv's error by float64, judged by that of the float32 reference.

Both sides sum the same products in other orders, so their errors by the float64 result are of one
size; a wrong kernel is off by many orders of magnitude. Errors are norms over a whole tensor. The
float64 result is NumPy's, wherever the other two were computed.
"""

from math import prod, sqrt

import numpy as np

import fastconv as fc
from fastconv.bench.place import CPU
from fastconv.bench.workload import build
from fastconv.core import Spec, Tensor
from fastconv.errors import FastconvError

FACTOR = 16  # our error may be this many times the yardstick's, or as many roundings of the result
# where a rounding crosses the kink of a ReLU or lets another pixel win a max pool, an element of
# the gradient goes or moves: in ResNet-18, whose kernels agree to 1e-14 in float64, by up to 0.6 %.
# So many such choices are allowed for, in the smallest map
CHOICES = 4
IMAGES = 2  # compared on a small batch: float64 is slow


# in float64 no value came so close to a kink
CHOSEN_BY_ROUNDING = 1e-12


def smallest_map(model, shape) -> int:
    """Elements of the smallest feature map that a ReLU or a maximum chooses from."""
    with fc.Trace(meta=True) as trace, fc.no_grad():
        model(Tensor(Spec(shape, np.dtype("float32"))))
    chosen = [r for r in trace.records if len(r.outputs[0][0]) == 4]
    sizes = [
        prod(r.outputs[0][0])
        for r in chosen
        if r.name in ("Activate", "ConvBnAct") or r.name.startswith("MaxPool")
    ]
    return min(sizes, default=prod(shape))


class MismatchError(FastconvError):
    """fastconv and the reference disagree; nothing was timed."""


def compare(name, dtype, training, tick=lambda: None, place=CPU) -> dict[str, float]:
    """The logits' error relative to float64, and the worst tensor's share of what is allowed.

    tick() is called before each side computes. Raises MismatchError naming the tensor that is off.
    """
    tick()
    ours = _answers(name, dtype, training, place.device)
    tick()
    with fc.use_backend("reference"):
        reference = _answers(name, dtype, training, place.device)
        tick()
        exact = _answers(name, "float64", training) if dtype != "float64" else reference
    eps = float(np.finfo(dtype).eps)
    shape = (IMAGES, *fc.models.model_info(name).input_shape)
    with fc.nn.init.skipped():
        model = fc.models.create_model(name)
    elements = smallest_map(model, shape)
    worst = {"error": 0.0, "share_of_allowed": 0.0}
    for key, y64 in exact.items():
        size = float(np.linalg.norm(y64))
        error = float(np.linalg.norm(ours[key] - y64))
        noise = float(np.linalg.norm(reference[key] - y64))
        choices = 0.0 if key == "logits" else chosen_otherwise(elements, eps)
        share = share_of_allowed(f"{name}: {key}", size, error, noise, eps, choices)
        if key == "logits":
            worst["error"] = error / size
        worst["share_of_allowed"] = max(worst["share_of_allowed"], share)
    return worst


def chosen_otherwise(elements: int, eps: float) -> float:
    """Share of a gradient that CHOICES may move, the smallest map having so many elements."""
    return sqrt(2 * CHOICES / elements) if eps > CHOSEN_BY_ROUNDING else 0.0


def share_of_allowed(
    what: str,
    size: float,
    error: float,
    noise: float,
    eps: float,
    choices: float = 0.0,
    exact: str = "the float64 reference",
) -> float:
    """error as a share of what is allowed; MismatchError above 1. All are norms of one tensor.

    size: of the exact result; noise: the error of the yardstick, which sums the same in another
    order; eps: of the precision; choices: from chosen_otherwise, for gradients.
    """
    allowed = FACTOR * max(noise, eps * size) + choices * size
    if not error <= allowed:
        raise MismatchError(
            f"{what} differs from {exact} by {error:.3g} (norm {size:.3g}), allowed {allowed:.3g};"
            " nothing was timed"
        )
    return error / allowed if allowed else 0.0


def _answers(name, dtype, training, device="cpu"):
    work = build(name, IMAGES, dtype, device)
    answers = {"logits": work.infer().numpy().astype(np.float64)}
    if training:
        work.loss().backward()
        for key, p in work.model.named_parameters():
            if p.grad is not None:
                answers[f"gradient of {key}"] = p.grad.numpy().astype(np.float64)
    return answers
