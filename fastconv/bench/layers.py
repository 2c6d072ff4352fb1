"""Every distinct convolution of the networks: forward and both gradients, ours and PyTorch's.

The problems come from meta traces of the registered networks, so a new network's layers are
measured without being listed anywhere.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

import fastconv as fc
from fastconv.backend import NO_EPILOGUE, Conv2dProblem, table_for
from fastconv.bench.timing import Timing, time_interleaved
from fastconv.core import Spec, Tensor
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
    times: dict[str, Timing]

    def rate(self, side: str) -> float:
        """FLOP/s, 2 x MACs over the median; products with padding count."""
        return 2 * self.problem.macs / self.times[side].median


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
    shapes = (problem.x_shape, problem.w_shape, problem.y_shape)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def _ours(problem, x, w, gy):
    K = table_for([x])
    y = K.empty(problem.y_shape, x.dtype)
    return {
        "fwd": lambda: conv2d_forward(K, x, w, y, problem, NO_EPILOGUE),
        "dgrad": lambda: input_gradient(K, gy, w, problem),
        "wgrad": lambda: weight_gradient(K, x, gy, problem),
    }


def measure_layers(layers, repeats, peer=None, directions=DIRECTIONS):
    """Yields a LayerResult per problem and direction; peer: a function like _ours, or None."""
    rng = np.random.default_rng(0)
    for problem, networks in layers.items():
        x, w, gy = _arrays(problem, rng)
        sides = {"fastconv": _ours(problem, x, w, gy)}
        if peer is not None:
            sides["torch"] = peer(problem, x, w, gy)
        for direction in directions:
            runs = {side: passes[direction] for side, passes in sides.items()}
            yield LayerResult(
                problem,
                direction,
                table_for([x]).conv2d_choose(problem, direction, x.dtype, "default"),
                tuple(networks),
                networks.total(),
                time_interleaved(runs, repeats),
            )
