"""Batch, layer and local response normalisation."""

import math

import numpy as np

from fastconv.bench.kernel_case import BATCH, KERNELS, MAPS, RELU, Kernel, maps

TOKENS = ((BATCH, 56, 56, 96), (BATCH, 7, 7, 768))  # layer norm: ConvNeXt
ALEXNET_LRN = ((BATCH, 55, 55, 96), (BATCH, 27, 27, 256))


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
