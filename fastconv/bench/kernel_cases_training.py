"""Softmax, losses and optimizer steps."""

import numpy as np

from fastconv.bench.kernel_case import BATCH, KERNELS, SMALL, Kernel

LOGITS = ((BATCH, 1000), (256, 1000))


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
