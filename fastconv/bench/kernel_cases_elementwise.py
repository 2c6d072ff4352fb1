"""Activations, sums, dropout, shuffling and gating."""

from fastconv.backend import Activation
from fastconv.bench.kernel_case import BATCH, KERNELS, LARGE, MAPS, RELU, SMALL, Kernel, maps

GATES = ((BATCH, 56, 56, 144), (BATCH, 14, 14, 672))  # squeeze-and-excitation: EfficientNet

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
