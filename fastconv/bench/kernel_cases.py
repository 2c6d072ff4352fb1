"""What benchmarks/kernels.py measures: each kernel's shapes (those of the networks), arrays, call
and traffic."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastconv.backend import Activation, Pool2dProblem

RELU = Activation("relu")
BATCH = 8

LARGE, STEM = (BATCH, 56, 56, 256), (BATCH, 112, 112, 64)
SMALL, LAST = (BATCH, 14, 14, 1024), (BATCH, 7, 7, 2048)
MAPS = (LARGE, STEM, SMALL, LAST)
TOKENS = ((BATCH, 56, 56, 96), (BATCH, 7, 7, 768))  # layer norm: ConvNeXt
LOGITS = ((BATCH, 1000), (256, 1000))
ALEXNET_LRN = ((BATCH, 55, 55, 96), (BATCH, 27, 27, 256))
GATES = ((BATCH, 56, 56, 144), (BATCH, 14, 14, 672))  # squeeze-and-excitation: EfficientNet


class Kernel(NamedTuple):
    """arrays: (rng, shape) -> name -> shape of a float32 array, an array, or a list of arrays.
    traffic: their names, once for each time that the formula reads or writes them."""

    shapes: tuple
    arrays: Callable
    traffic: str
    run: Callable
    prepare: Callable = lambda K, a: None


KERNELS: dict[str, Kernel] = {}


def maps(*names):
    """Arrays of the kernel's shape."""
    return lambda rng, shape: dict.fromkeys(names, shape)


# ---- element-wise

ACTS = [Activation(n) for n in ("relu", "relu6", "hardswish", "hardsigmoid", "silu", "sigmoid")]
ACTS += [Activation("gelu"), Activation("tanh"), Activation("elu", 1.0)]
ACTS += [Activation("leaky_relu", 0.01)]

for act in ACTS:
    KERNELS[act.name] = Kernel(
        (LARGE, SMALL), maps("x", "y"), "x y", lambda K, a, act=act: K.activation_fwd(a.x, a.y, act)
    )
    KERNELS[f"{act.name} bwd"] = Kernel(
        (LARGE, SMALL),
        maps("x", "gy", "gx"),
        "gy x gx",
        lambda K, a, act=act: K.activation_bwd(a.gy, a.x, a.gx, act),
    )
KERNELS["add+relu"] = Kernel(
    MAPS, maps("a", "b", "y"), "a b y", lambda K, a: K.add(a.a, a.b, a.y, RELU)
)
KERNELS["dropout"] = Kernel(
    (LARGE, (BATCH, 4096)), maps("x", "y"), "x y", lambda K, a: K.dropout(a.x, a.y, 0.5, 1, 0, 1)
)
KERNELS["channel_shuffle"] = Kernel(
    ((BATCH, 28, 28, 240),), maps("x", "y"), "x y", lambda K, a: K.channel_shuffle(a.x, a.y, 3)
)


def gate(*names):
    def arrays(rng, shape):
        n, _, _, c = shape
        return {name: (n, 1, 1, c) if name in ("s", "gs") else shape for name in names}

    return arrays


KERNELS["scale_channels"] = Kernel(
    GATES, gate("x", "s", "y"), "x y", lambda K, a: K.scale_channels_fwd(a.x, a.s, a.y)
)
KERNELS["scale_channels bwd"] = Kernel(
    GATES,
    gate("gy", "x", "s", "gx", "gs"),
    "gy x gx",
    lambda K, a: K.scale_channels_bwd(a.gy, a.x, a.s, a.gx, a.gs),
)


# ---- norms


def channels(*names):
    """Arrays of the kernel's shape and per-channel ones."""

    def arrays(rng, shape):
        c = shape[-1]
        small = dict.fromkeys(("mean", "gamma", "beta", "ggamma", "gbeta"), (c,))
        rows = {n: (math.prod(shape[:-1]),) for n in ("row_mean", "row_rstd")}
        own = {"rstd": np.ones(c, np.float32), "sums": np.zeros((2, c))}
        return {n: {**small, **rows, **own}.get(n, shape) for n in names}

    return arrays


def batch_norm_forward(residual, training):
    def run(K, a):
        if training:
            K.channel_stats(a.x, a.sums)
            count = a.x.size // a.x.shape[-1]
            K.batch_norm_prepare(a.sums, count, a.mean, a.rstd, None, None, 0.1, 1e-5)
        add = a.residual if residual else None
        K.batch_norm_apply(a.x, a.mean, a.rstd, a.gamma, a.beta, add, a.y, RELU)

    return run


def batch_norm_backward(residual):
    def run(K, a):
        add, gresidual = (a.residual, a.gresidual) if residual else (None, None)
        K.batch_norm_bwd(
            *(a.gy, a.x, a.y, add, a.gamma, a.beta, a.mean, a.rstd, RELU, True),
            *(a.gx, a.ggamma, a.gbeta, gresidual),
        )

    return run


PARAMETERS = ("mean", "rstd", "gamma", "beta", "sums")
KERNELS["channel_stats"] = Kernel(
    MAPS, channels("x", "sums"), "x", lambda K, a: K.channel_stats(a.x, a.sums)
)
KERNELS["batch_norm+relu eval"] = Kernel(
    MAPS, channels("x", "y", *PARAMETERS), "x y", batch_norm_forward(False, False)
)
KERNELS["batch_norm+relu"] = Kernel(
    MAPS, channels("x", "y", *PARAMETERS), "x x y", batch_norm_forward(False, True)
)
KERNELS["batch_norm+add+relu"] = Kernel(
    MAPS,
    channels("x", "y", "residual", *PARAMETERS),
    "x x residual y",
    batch_norm_forward(True, True),
)
GRADIENTS = ("gy", "gx", "ggamma", "gbeta")
KERNELS["batch_norm+relu bwd"] = Kernel(
    MAPS,
    channels("x", "y", *PARAMETERS, *GRADIENTS),
    "gy x y gy x y gx",
    batch_norm_backward(False),
    batch_norm_forward(False, True),
)
KERNELS["batch_norm+add+relu bwd"] = Kernel(
    MAPS,
    channels("x", "y", "residual", "gresidual", *PARAMETERS, *GRADIENTS),
    "gy x y gresidual gresidual x gx",
    batch_norm_backward(True),
    batch_norm_forward(True, True),
)


def layer_norm(K, a):
    K.layer_norm_fwd(a.x, a.gamma, a.beta, a.y, a.row_mean, a.row_rstd, 1e-6)


KERNELS["layer_norm"] = Kernel(
    TOKENS, channels("x", "y", "gamma", "beta", "row_mean", "row_rstd"), "x y", layer_norm
)
KERNELS["layer_norm bwd"] = Kernel(
    TOKENS,
    channels("x", "y", "gy", "gx", "gamma", "beta", "ggamma", "gbeta", "row_mean", "row_rstd"),
    "gy x gx",
    lambda K, a: K.layer_norm_bwd(
        *(a.gy, a.x, a.gamma, a.row_mean, a.row_rstd, a.gx, a.ggamma, a.gbeta)
    ),
    layer_norm,
)
for beta in (0.75, 0.5):
    KERNELS[f"lrn {beta}"] = Kernel(
        ALEXNET_LRN,
        maps("x", "y", "scale"),
        "x y scale",
        lambda K, a, beta=beta: K.lrn_fwd(a.x, a.y, a.scale, 5, 1e-4, beta, 2.0),
    )
    KERNELS[f"lrn {beta} bwd"] = Kernel(
        ALEXNET_LRN,
        maps("x", "y", "scale", "gy", "gx"),
        "gy x scale gx",
        lambda K, a, beta=beta: K.lrn_bwd(a.gy, a.x, a.scale, a.gx, 5, 1e-4, beta),
        lambda K, a, beta=beta: K.lrn_fwd(a.x, a.y, a.scale, 5, 1e-4, beta, 2.0),
    )


# ---- pooling

# (H, W, C), window, stride, padding: ResNet's stem, VGG's pools, AlexNet's
POOLS = (
    (112, 64, 3, 2, 1),
    (224, 64, 2, 2, 0),
    (56, 256, 2, 2, 0),
    (55, 96, 3, 2, 0),
    (13, 256, 3, 2, 0),
)


def pool_problem(shape):
    size, c, window, stride, pad = shape
    out = (size + 2 * pad - window) // stride + 1
    return Pool2dProblem(
        *(BATCH, size, size, c, window, window, out, out),
        *((stride, stride), (pad,) * 4, (1, 1)),
    )


def pooled(*names):
    def arrays(rng, shape):
        g = pool_problem(shape)
        y = (g.n, g.p, g.q, g.c)
        known = {"y": y, "gy": y, "argmax": np.zeros(y, np.uint8)}
        return {"problem": g, **{n: known.get(n, (g.n, g.h, g.w, g.c)) for n in names}}

    return arrays


def max_pool(K, a):
    K.max_pool2d_fwd(a.x, a.y, a.argmax, a.problem)


KERNELS["max_pool"] = Kernel(POOLS, pooled("x", "y", "argmax"), "x y argmax", max_pool)
KERNELS["max_pool bwd"] = Kernel(
    POOLS,
    pooled("x", "y", "argmax", "gy", "gx"),
    "gy argmax gx",
    lambda K, a: K.max_pool2d_bwd(a.gy, a.argmax, a.gx, a.problem),
    max_pool,
)
KERNELS["avg_pool"] = Kernel(
    POOLS[1:3],
    pooled("x", "y"),
    "x y",
    lambda K, a: K.avg_pool2d_fwd(a.x, a.y, a.problem, True),
)
KERNELS["avg_pool bwd"] = Kernel(
    POOLS[1:3],
    pooled("gy", "gx", "x", "y"),
    "gy gx",
    lambda K, a: K.avg_pool2d_bwd(a.gy, a.gx, a.problem, True),
)


def adaptive(*names):
    """shape: (H, W, C, P)"""

    def arrays(rng, shape):
        h, w, c, p = shape
        small = dict.fromkeys(("y", "gy"), (BATCH, p, p, c))
        small["argmax"] = np.zeros((BATCH, p, p, c), np.int32)
        return {n: small.get(n, (BATCH, h, w, c)) for n in names}

    return arrays


GLOBAL = ((56, 56, 144, 1), (7, 7, 2048, 1), (13, 13, 256, 6))
KERNELS["adaptive_avg_pool"] = Kernel(
    GLOBAL, adaptive("x", "y"), "x y", lambda K, a: K.adaptive_avg_pool2d_fwd(a.x, a.y)
)
KERNELS["adaptive_avg_pool bwd"] = Kernel(
    GLOBAL,
    adaptive("x", "gy", "gx"),
    "gy gx",
    lambda K, a: K.adaptive_avg_pool2d_bwd(a.gy, a.gx),
)


def adaptive_max(K, a):
    K.adaptive_max_pool2d_fwd(a.x, a.y, a.argmax)


KERNELS["adaptive_max_pool"] = Kernel(
    GLOBAL, adaptive("x", "y", "argmax"), "x y argmax", adaptive_max
)
KERNELS["adaptive_max_pool bwd"] = Kernel(
    GLOBAL,
    adaptive("x", "y", "argmax", "gy", "gx"),
    "gy argmax gx",
    lambda K, a: K.adaptive_max_pool2d_bwd(a.gy, a.argmax, a.gx),
    adaptive_max,
)


# ---- resize: (H, C), to twice the size


def resized(*names):
    def arrays(rng, shape):
        h, c = shape
        large = dict.fromkeys(("y", "gy"), (BATCH, 2 * h, 2 * h, c))
        return {n: large.get(n, (BATCH, h, h, c)) for n in names}

    return arrays


for mode in ("nearest", "bilinear"):
    KERNELS[f"resize {mode}"] = Kernel(
        ((56, 64), (14, 512)),
        resized("x", "y"),
        "x y",
        lambda K, a, mode=mode: K.resize_fwd(a.x, a.y, mode, False),
    )
    KERNELS[f"resize {mode} bwd"] = Kernel(
        ((56, 64), (14, 512)),
        resized("x", "gy", "gx"),
        "gy gx",
        lambda K, a, mode=mode: K.resize_bwd(a.gy, a.gx, mode, False),
    )


# ---- softmax and losses


def labelled(*names):
    def arrays(rng, shape):
        n, c = shape
        own = {"labels": rng.integers(0, c, n), "lse": (n,), "loss": np.zeros((), np.float32)}
        return {name: own.get(name, shape) for name in names}

    return arrays


def cross_entropy(K, a):
    K.cross_entropy_fwd(a.x, a.labels, a.loss, a.lse, 0.0, "mean")


KERNELS["softmax"] = Kernel(
    LOGITS, labelled("x", "y"), "x y", lambda K, a: K.softmax_fwd(a.x, a.y, False)
)
KERNELS["cross_entropy"] = Kernel(
    LOGITS, labelled("x", "labels", "lse", "loss"), "x", cross_entropy
)
KERNELS["cross_entropy bwd"] = Kernel(
    LOGITS,
    labelled("x", "labels", "lse", "loss", "gx"),
    "x gx",
    lambda K, a: K.cross_entropy_bwd(a.loss, a.x, a.labels, a.lse, a.gx, 0.0, "mean"),
    cross_entropy,
)
for name in ("bce_with_logits", "mse"):
    KERNELS[name] = Kernel(
        (SMALL,),
        lambda rng, shape: {"x": shape, "t": shape, "loss": np.zeros((), np.float32)},
        "x t",
        lambda K, a, name=name: getattr(K, f"{name}_fwd")(a.x, a.t, a.loss, "mean"),
    )
    KERNELS[f"{name} bwd"] = Kernel(
        (SMALL,),
        lambda rng, s: {"x": s, "t": s, "loss": np.zeros((), np.float32), "gx": s},
        "x t gx",
        lambda K, a, name=name: getattr(K, f"{name}_bwd")(a.loss, a.x, a.t, a.gx, "mean"),
    )


# ---- optimizer steps over all parameters of a network


def resnet50_shapes():
    """ResNet-50's parameters, OHWI: 161 arrays, 25.6 million values."""
    shapes, c = [(64, 7, 7, 3), (64,), (64,)], 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            convolutions = [(width, 1, 1, c), (width, 3, 3, width), (4 * width, 1, 1, width)]
            if block == 0:
                convolutions.append((4 * width, 1, 1, c))
            for w in convolutions:
                shapes += [w, (w[0],), (w[0],)]
            c = 4 * width
    return [*shapes, (1000, 2048), (1000,)]


def parameters(*names):
    def arrays(rng, shape):
        draw = rng.standard_normal
        known = {n: [draw(s, np.float32) for s in resnet50_shapes()] for n in ("p", "g", "m")}
        known["v"] = [np.abs(a) for a in known["m"]]
        return {n: known[n] for n in names}

    return arrays


KERNELS["sgd momentum"] = Kernel(
    ("resnet50",),
    parameters("p", "g", "m"),
    "p g m p m",
    lambda K, a: K.sgd_step(a.p, a.g, a.m, 1e-9, 0.9, 0.0, 1e-4, False, False),
)
for name, decoupled in (("adam", False), ("adamw", True)):
    KERNELS[name] = Kernel(
        ("resnet50",),
        parameters("p", "g", "m", "v"),
        "p g m v p m v",
        lambda K, a, decoupled=decoupled: K.adam_step(
            *(a.p, a.g, a.m, a.v, 1e-9, 0.9, 0.999, 1e-8, 1e-2, decoupled, 10)
        ),
    )
