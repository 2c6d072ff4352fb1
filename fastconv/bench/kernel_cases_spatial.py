"""Pooling and resizing."""

import numpy as np

from fastconv.backend import Pool2dProblem
from fastconv.bench.kernel_case import BATCH, KERNELS, Kernel

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
