"""Whether a convolution should apply the batch norm before it while it loads: time of both ways.

    python benchmarks/prologue.py [--models resnet50 mobilenet_v2 ...] [--batch 8] [--repeats 5]

For every convolution of a network behind batch norm and activation, one training step's worth of

    apart    y = act(bn(z)) written; forward of y; y made again in backward; gradient by w from y
    fused    forward and gradient by w from z, the prologue act(z * scale + shift) on what they load

"best" takes the faster way layer by layer, for forward and for the gradient on their own.
"""

import argparse
from collections import Counter

import numpy as np
from rich.progress import track

import fastconv as fc
from fastconv.backend import Activation, Epilogue, Prologue, cpu
from fastconv.bench.layers import distinct_layers
from fastconv.bench.machine import thread_count
from fastconv.bench.timing import time_interleaved
from fastconv.core import own_copy

MODELS = ("resnet50", "mobilenet_v2", "efficientnet_b0")
ACTIVATIONS = {"mobilenet_v2": "relu6", "efficientnet_b0": "silu"}
FLOAT = np.dtype("float32")


def sides(problem, act, rng):
    """Name -> what is timed."""
    p = problem
    z, y, w, gy, mean, gamma = (
        own_copy(rng.standard_normal(shape, FLOAT), FLOAT, "cpu")
        for shape in (p.x_shape, p.x_shape, p.w_shape, p.y_shape, (p.c,), (p.c,))
    )
    out, gw, sums = np.empty_like(gy), np.empty_like(w), np.empty((2, p.k))
    rstd, beta = np.ones_like(mean), -mean
    prologue = Prologue(gamma, beta, act)

    def runs(direction):
        algorithm = cpu.conv2d_choose(problem, direction, FLOAT, "default")
        nbytes = cpu.conv2d_workspace(problem, direction, algorithm, FLOAT)
        scratch = cpu.empty((nbytes,), "uint8") if nbytes else None
        if direction == "fwd":
            epilogue = Epilogue(sums=sums)
            return lambda x, p: cpu.conv2d_fwd(x, w, out, problem, algorithm, scratch, epilogue, p)
        return lambda x, p: cpu.conv2d_wgrad(x, gy, gw, problem, algorithm, scratch, p)

    forward, gradient = runs("fwd"), runs("wgrad")

    def apply():
        cpu.batch_norm_apply(z, mean, rstd, gamma, beta, None, y, act)

    return {
        "apart fwd": lambda: (apply(), forward(y, None)),
        "fused fwd": lambda: forward(z, prologue),
        "apart wgrad": lambda: (apply(), gradient(y, None)),
        "fused wgrad": lambda: gradient(z, prologue),
    }


def measure(name, batch, repeats):
    """Milliseconds per step of each side, and of the best layer by layer."""
    rng = np.random.default_rng(0)
    act = Activation(ACTIVATIONS.get(name, "relu"))
    totals = Counter()
    layers = {p: uses for p, uses in distinct_layers([name], batch).items() if p.c > 3}
    for problem, uses in track(layers.items(), description=name, transient=True):
        timings = time_interleaved(sides(problem, act, rng), repeats)
        times = {side: 1e3 * uses.total() * t.median for side, t in timings.items()}
        totals.update(times)
        for direction in ("fwd", "wgrad"):
            both = times[f"apart {direction}"], times[f"fused {direction}"]
            totals[f"best {direction}"] += min(both)
    return totals


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"ms per step, batch {options.batch}, {thread_count()} threads")
    columns = [f"{side} {d}" for d in ("fwd", "wgrad") for side in ("apart", "fused", "best")]
    print(f"{'network':18}" + "".join(f"{column:>14}" for column in columns))
    for name in (n for pattern in options.models for n in fc.models.list_models(pattern)):
        t = measure(name, options.batch, options.repeats)
        print(f"{name:18}" + "".join(f"{t[column]:14.1f}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
