"""Every distinct convolution of the networks: forward and both gradients, ours and PyTorch's.

The problems come from meta traces of the registered networks, so a new network's layers are
measured without being listed anywhere. Forward is that of inference: its packed weights are kept
with the parameter. The machine's multiply-add peak is measured in the same rounds.
"""

from collections import Counter
from dataclasses import dataclass
from math import prod

import numpy as np

import fastconv as fc
from fastconv.analysis import explain
from fastconv.backend import NO_EPILOGUE, Conv2dProblem, table_for
from fastconv.bench.machine import fma_run
from fastconv.bench.timing import Gauge, Timing, time_undisturbed
from fastconv.core import Spec, Tensor, own_copy
from fastconv.ops.conv2d import (
    conv2d_forward,
    conv2d_problem,
    input_gradient,
    weight_gradient,
)

DIRECTIONS = ("fwd", "dgrad", "wgrad")

CONVOLUTIONS = ("Conv2d", "ConvBnAct")


@dataclass
class LayerResult:
    """One problem in one direction; seconds per pass of each side."""

    problem: Conv2dProblem
    direction: str
    algorithm: str
    networks: tuple[str, ...]
    uses: int  # how often the networks have it
    times: dict[str, Timing]  # of the sides, and of "peak"
    peak_flops: float  # of one run of "peak"

    def rate(self, side: str) -> float:
        """FLOP/s, 2 x MACs over the median; products with padding count."""
        return 2 * self.problem.macs / self.times[side].median

    @property
    def peak(self) -> float:
        """FLOP/s of multiply-adds on registers in the same rounds."""
        return self.peak_flops / self.times["peak"].median

    def bound(self, bandwidth: float) -> float:
        """Seconds that the arithmetic at peak, or the operands once through memory, take."""
        p, itemsize = self.problem, 4
        elements = sum(prod(shape) for shape in (p.x_shape, p.w_shape, p.y_shape))
        return max(2 * p.macs / self.peak, elements * itemsize / bandwidth)


def result_from(kept: dict) -> LayerResult:
    """A LayerResult from its JSON."""
    parts = [tuple(v) if isinstance(v, list) else v for v in kept["problem"]]
    times = {side: Timing(**timing) for side, timing in kept["times"].items()}
    return LayerResult(
        **kept
        | {"problem": Conv2dProblem(*parts), "times": times, "networks": tuple(kept["networks"])}
    )


def distinct_layers(names, batch) -> dict[Conv2dProblem, Counter]:
    """Problem -> how often each network has it, in the order of first use."""
    layers: dict[Conv2dProblem, Counter] = {}
    for name in names:
        with fc.Trace(meta=True) as trace, fc.no_grad():
            model = fc.models.create_model(name).eval()
            shape = fc.models.model_info(name).input_shape
            model(Tensor(Spec((batch, *shape), np.dtype("float32"))))
        for r in trace.records:
            if r.name in CONVOLUTIONS:
                x, w = (Spec(*r.inputs[i]) for i in (0, 1))
                keys = ("stride", "padding", "dilation", "groups")
                problem = conv2d_problem("layers", x, w, *(r.fields[key] for key in keys))
                layers.setdefault(problem, Counter())[name] += 1
    return layers


def _arrays(problem, rng):
    # as in a network, in memory that begins with a cache line; PyTorch is given the same arrays
    shapes = (problem.x_shape, problem.w_shape, problem.y_shape)
    return [own_copy(rng.standard_normal(s, np.float32), np.float32, "cpu") for s in shapes]


def _ours(problem, x, w, gy):
    K = table_for([x])
    y = K.empty(problem.y_shape, x.dtype)
    parameter = fc.nn.Parameter(w)
    return {
        "fwd": lambda: conv2d_forward(K, x, parameter.data, y, problem, NO_EPILOGUE, parameter),
        "dgrad": lambda: input_gradient(K, gy, w, problem),
        "wgrad": lambda: weight_gradient(K, x, gy, problem),
    }


def measure_layers(layers, repeats, peer=None, directions=DIRECTIONS):
    """Yields a LayerResult per problem and direction; peer: a function like _ours, or None."""
    rng = np.random.default_rng(0)
    run, peak_flops, _ = fma_run()
    gauge = Gauge(run)
    for problem, networks in layers.items():
        x, w, gy = _arrays(problem, rng)
        sides = {"fastconv": _ours(problem, x, w, gy)}
        if peer is not None:
            sides["torch"] = peer(problem, x, w, gy)
        for direction in directions:
            runs = {side: passes[direction] for side, passes in sides.items()}
            times, peak = time_undisturbed(runs, repeats, gauge)
            yield LayerResult(
                problem,
                direction,
                explain(problem, direction=direction).chosen,
                tuple(networks),
                networks.total(),
                times | {"peak": peak},
                peak_flops,
            )
