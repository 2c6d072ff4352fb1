"""PyTorch's side of benchmarks/kernels.py: eager, channels_last, on the same arrays.

A backward side is torch.autograd.grad over a graph that is kept, so it allocates its results as in
training.
"""

import torch
import torch.nn.functional as F

from fastconv.bench.machine import thread_count

torch.set_num_threads(thread_count())


def view(array):
    """The array as a tensor: (N,H,W,C) becomes (N,C,H,W) in channels_last."""
    t = torch.from_numpy(array)
    return t.permute(0, 3, 1, 2) if array.ndim == 4 else t


def forward(f, *names):
    """A peer: f of the named arrays, without autograd."""

    def peer(a):
        tensors = [view(getattr(a, n)) for n in names]

        def run():
            with torch.inference_mode():
                return f(a, *tensors)

        return run

    return peer


def backward(f, *names, gy="gy"):
    """A peer: the gradients of f by the named arrays."""

    def peer(a):
        tensors = [view(getattr(a, n)).detach().requires_grad_() for n in names]
        y = f(a, *tensors)
        g = view(getattr(a, gy)) if gy else None
        return lambda: torch.autograd.grad(y, tensors, g, retain_graph=True)

    return peer


def optimizer(kind, **options):
    def peer(a):
        params = [torch.from_numpy(p.copy()).requires_grad_() for p in a.p]
        for p, g in zip(params, a.g, strict=True):
            p.grad = torch.from_numpy(g)
        step = kind(params, lr=1e-9, fused=True, **options).step
        return step

    return peer


def both(name, f, *names):
    PEERS[name] = forward(f, *names)
    PEERS[f"{name} bwd"] = backward(f, *names)


PEERS = {}
for act in ("relu", "relu6", "hardswish", "hardsigmoid", "silu", "gelu", "elu", "leaky_relu"):
    both(act, lambda a, x, name=act: getattr(F, name)(x), "x")
both("tanh", lambda a, x: torch.tanh(x), "x")
both("sigmoid", lambda a, x: torch.sigmoid(x), "x")
PEERS["add+relu"] = forward(lambda a, x, y: torch.relu_(x + y), "a", "b")
PEERS["dropout"] = forward(lambda a, x: F.dropout(x, 0.5), "x")
PEERS["channel_shuffle"] = forward(lambda a, x: torch.channel_shuffle(x, 3), "x")
both("scale_channels", lambda a, x, s: x * s, "x", "s")

STATISTICS = ("mean", "rstd", "gamma", "beta")


def batch_norm(training, residual):
    def f(a, x, mean, rstd, gamma, beta, add=None):
        y = F.batch_norm(x, mean, rstd, gamma, beta, training, 0.0)
        return torch.relu_(y + add if residual else y)

    return f


def batch_norm_gradient(residual):
    def f(a, x, gamma, beta, add=None):
        y = F.batch_norm(x, None, None, gamma, beta, True)
        return torch.relu(y + add if residual else y)

    return f


PEERS["batch_norm+relu eval"] = forward(batch_norm(False, False), "x", *STATISTICS)
PEERS["batch_norm+relu"] = forward(batch_norm(True, False), "x", *STATISTICS)
PEERS["batch_norm+add+relu"] = forward(batch_norm(True, True), "x", *STATISTICS, "residual")
PEERS["batch_norm+relu bwd"] = backward(batch_norm_gradient(False), "x", "gamma", "beta")
PEERS["batch_norm+add+relu bwd"] = backward(
    batch_norm_gradient(True), "x", "gamma", "beta", "residual"
)


def layer_norm(a, x, gamma, beta):
    return F.layer_norm(x.permute(0, 2, 3, 1), gamma.shape, gamma, beta).permute(0, 3, 1, 2)


both("layer_norm", layer_norm, "x", "gamma", "beta")
for exponent in (0.75, 0.5):
    both(
        f"lrn {exponent}",
        lambda a, x, b=exponent: F.local_response_norm(x, 5, 5e-4, b, 2.0),
        "x",
    )


def max_pool(a, x):
    _, _, window, stride, pad = a.shape
    return F.max_pool2d(x, window, stride, pad)


def avg_pool(a, x):
    _, _, window, stride, pad = a.shape
    return F.avg_pool2d(x, window, stride, pad)


both("max_pool", max_pool, "x")
both("avg_pool", avg_pool, "x")
both("adaptive_avg_pool", lambda a, x: F.adaptive_avg_pool2d(x, a.shape[-1]), "x")
both("adaptive_max_pool", lambda a, x: F.adaptive_max_pool2d(x, a.shape[-1]), "x")
for mode in ("nearest", "bilinear"):
    both(f"resize {mode}", lambda a, x, m=mode: F.interpolate(x, scale_factor=2, mode=m), "x")

PEERS["softmax"] = forward(lambda a, x: F.softmax(x, 1), "x")
PEERS["cross_entropy"] = forward(lambda a, x, y: F.cross_entropy(x, y), "x", "labels")
PEERS["cross_entropy bwd"] = backward(
    lambda a, x: F.cross_entropy(x, torch.from_numpy(a.labels)), "x", gy=None
)
PEERS["bce_with_logits"] = forward(
    lambda a, x, t: F.binary_cross_entropy_with_logits(x, t), "x", "t"
)
PEERS["bce_with_logits bwd"] = backward(
    lambda a, x: F.binary_cross_entropy_with_logits(x, view(a.t)), "x", gy=None
)
PEERS["mse"] = forward(lambda a, x, t: F.mse_loss(x, t), "x", "t")
PEERS["mse bwd"] = backward(lambda a, x: F.mse_loss(x, view(a.t)), "x", gy=None)

PEERS["sgd momentum"] = optimizer(torch.optim.SGD, momentum=0.9, weight_decay=1e-4)
PEERS["adam"] = optimizer(torch.optim.Adam, weight_decay=1e-2)
PEERS["adamw"] = optimizer(torch.optim.AdamW, weight_decay=1e-2)
