"""Every op of tests/cases.py that has a PyTorch twin: outputs and gradients in float64.

Both sides compute the same formula in their own order, so the tolerance is a few roundings of the
largest value: 64 * eps * max(1, |value|). Axes and layouts are as here (no images in this file).
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv.core import is_float
from tests.cases import CASES

torch = pytest.importorskip("torch")
T = torch.nn.functional

pytestmark = pytest.mark.peers

ROUNDINGS = 64


def reduced(f, everything):
    """f(x, axis, keepdims) of torch, which has another call for all axes."""

    def call(x, axis=None, keepdims=False):
        if axis is not None:
            return f(x, dim=axis, keepdim=keepdims)
        y = everything(x)
        return y.reshape((1,) * x.ndim) if keepdims else y

    return call


def var(x, axis=None, keepdims=False, ddof=0):
    return torch.var(x, dim=axis, keepdim=keepdims, correction=ddof)


def split(x, indices_or_sections, axis):
    return torch.tensor_split(x, indices_or_sections, dim=axis)


def cross_entropy(x, t, label_smoothing=0.0, reduction="mean"):
    x = x.movedim(-1, 1)  # torch has classes in axis 1
    return T.cross_entropy(x, t, label_smoothing=label_smoothing, reduction=reduction)


def add_act(x, y, act):
    return {"relu": T.relu, "silu": T.silu, "identity": lambda v: v}[act](x + y)


TWINS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "neg": torch.neg,
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "add_act": add_act,
    "clip": torch.clip,
    "where": torch.where,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "relu": T.relu,
    "relu6": T.relu6,
    "leaky_relu": T.leaky_relu,
    "elu": T.elu,
    "silu": T.silu,
    "hardswish": T.hardswish,
    "hardsigmoid": lambda x: T.relu6(x + 3) / 6,  # T.hardsigmoid has 1/6 of float32 in its gradient
    "gelu": T.gelu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sum": reduced(torch.sum, torch.sum),
    "mean": reduced(torch.mean, torch.mean),
    "max": reduced(torch.amax, torch.amax),
    "min": reduced(torch.amin, torch.amin),
    "var": var,
    "argmax": reduced(torch.argmax, torch.argmax),
    "topk": lambda x, k, axis=-1: tuple(torch.topk(x, k, dim=axis)),
    "flatten": lambda x: torch.flatten(x, 1),
    "expand_dims": lambda x, axis: x.unsqueeze(axis),
    "unsqueeze": lambda x, axis: x.unsqueeze(axis),
    "squeeze": lambda x, axis=None: x.squeeze() if axis is None else x.squeeze(axis),
    "concat": lambda xs, axis=0: torch.cat(xs, dim=axis),
    "stack": lambda xs, axis=0: torch.stack(xs, dim=axis),
    "split": split,
    "softmax": lambda x, axis: T.softmax(x, dim=axis),
    "log_softmax": lambda x, axis: T.log_softmax(x, dim=axis),
    "cross_entropy": cross_entropy,
    "binary_cross_entropy_with_logits": T.binary_cross_entropy_with_logits,
    "mse_loss": T.mse_loss,
}


def torch_inputs(case, arrays):
    wants = [
        i.differentiable and case.gradient and is_float(a.dtype)
        for i, a in zip(case.inputs, arrays)
    ]
    return [torch.tensor(a, requires_grad=w) for a, w in zip(arrays, wants)]


def as_list(y):
    return list(y) if isinstance(y, tuple | list) else [y]


def check_close(ours, theirs):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    bound = ROUNDINGS * np.finfo(float).eps * np.maximum(1, np.abs(theirs))
    assert (np.abs(ours.astype(float) - theirs.astype(float)) <= bound).all()


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.function in TWINS and c.call is None], ids=lambda c: c.name
)
def test_twin(case, backend):
    arrays = case.draw("float64")
    ts = torch_inputs(case, arrays)
    twin = TWINS[case.function]
    if "y" in case.arguments:
        theirs = as_list(twin(*ts, case.arguments["y"]))
    else:
        theirs = as_list(twin(ts, **case.arguments) if case.listed else twin(*ts, **case.arguments))
    xs = case.tensors(arrays)
    ours = case.run(xs)
    seeds = []
    for y, t in zip(ours, theirs, strict=True):
        check_close(y.data, t)
        if y.requires_grad:
            seeds.append((y, t, np.random.default_rng(4).standard_normal(y.shape)))
    if not seeds:
        return
    sum((t * torch.tensor(s)).sum() for _, t, s in seeds).backward()
    total = None
    for y, _, s in seeds:
        term = (y * fc.tensor(s)).sum()
        total = term if total is None else total + term
    total.backward()
    for x, t in zip(xs, ts, strict=True):
        if t.requires_grad:
            check_close(x.grad.data, t.grad)


@pytest.mark.parametrize("key", [0, (slice(None), 1), ([2, 0, 2],), (..., None, 1), (1, [0, 3])])
def test_indexing(key):
    a = np.random.default_rng(0).standard_normal((3, 4))
    x, t = fc.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y, u = x[key], t[key]
    check_close(y.data, u)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(gy)
    u.backward(torch.tensor(gy))
    check_close(x.grad.data, t.grad)


def test_twins_are_all_used():
    """A name here that no case has would compare nothing."""
    assert set(TWINS) <= {c.function for c in CASES}
