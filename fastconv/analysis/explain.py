"""Why a convolution runs the algorithm it runs: every candidate, its cost, what rules it out."""

from dataclasses import dataclass
from io import StringIO

import numpy as np

from fastconv.backend import Conv2dProblem, table_for
from fastconv.backend.candidate import Candidate
from fastconv.core import Spec, Trace, state
from fastconv.core.tensor import Tensor
from fastconv.errors import ArgumentError
from fastconv.nn import Conv2d
from fastconv.ops.conv2d import conv2d_problem

DIRECTIONS = {"fwd": "forward", "dgrad": "gradient by x", "wgrad": "gradient by w"}
WHAT = {
    "reference": "NumPy: columns of the image and a matrix product",
    "implicit": "a matrix product whose tiles read the image where it lies",
    "im2col": "the same, on columns that are written first",
    "1x1": "a matrix product: the image is the matrix",
    "winograd": "F(4x4, 3x3): a quarter of the multiplications, transforms around them",
    "direct_depthwise": "channel by channel, pixels where they lie",
    "staged_depthwise": "channel by channel, on rows that are copied first",
    "staged_grouped": "vectors along the channels of many groups, on rows copied first",
    "depthwise": "channel by channel, vectors along the channels",
    "grouped": "few channels per group, on a patch of the image in shared memory",
    "stem": "few input channels: neighbouring windows share a patch",
}


@dataclass(frozen=True)
class Explanation:
    """The candidates for one convolution; prints as a table. Cycles are estimates of a cost model:
    only their ratios mean anything."""

    problem: Conv2dProblem
    direction: str
    dtype: str
    backend: str
    precision: str
    packed: bool
    chosen: str
    candidates: tuple[Candidate, ...]

    @property
    def reason(self) -> str:
        """One sentence."""
        by_name = {c.name: c for c in self.candidates}
        mine = by_name[self.chosen]
        if len(by_name) == 1:
            return f"{self.chosen}: the only one that fits"
        if mine.seconds is not None:
            return f"{self.chosen}: the fastest that was measured, on {mine.where}"
        if mine.cycles is None:
            return f"{self.chosen}: the most special one that fits"
        limit = "" if mine.memory is None else f", limited by {_limit(mine)}"
        cheaper = [
            f"{c.name} would cost less, but {c.refused}"
            for c in self.candidates
            if c.refused and c.cycles is not None and c.cycles < mine.cycles
        ]
        best = "the cheapest" if not cheaper else "the cheapest of the others"
        return "; ".join([*cheaper, f"{self.chosen}: {best}{limit}"])

    def __str__(self):
        from rich.console import Console

        text = StringIO()
        Console(file=text, width=10_000, highlight=False).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    __repr__ = __str__

    def __rich__(self):
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        p = self.problem
        window = f"{p.r}x{p.s}, stride {p.stride}, groups {p.groups}"
        packed = ", w packed before" if self.packed else ""
        table = Table(
            title=f"{DIRECTIONS[self.direction]}: x {p.x_shape}, w {p.w_shape}, y {p.y_shape}\n"
            f"{window}; {self.dtype}, {self.backend}, precision {self.precision}{packed}",
            box=box.SIMPLE_HEAD,
            title_justify="left",
        )
        table.add_column("algorithm")
        tuned = any(c.seconds is not None for c in self.candidates)
        for header in ("cost", "arithmetic", "memory", *(["measured"] if tuned else [])):
            table.add_column(header, justify="right")
        table.add_column("what it is")
        best = next((c.cycles for c in self.candidates if c.name == self.chosen), None)
        for c in self.candidates:
            figures = (c.cycles, c.arithmetic, c.memory)
            times = ["" if f is None or not best else f"{f / best:.2f}" for f in figures]
            if tuned:
                times.append("" if c.seconds is None else f"{c.seconds * 1e3:.3f} ms")
            what = WHAT[c.name] + (f" ({c.refused})" if c.refused else "")
            table.add_row(("* " if c.name == self.chosen else "  ") + c.name, *times, what)
        unit = f"cost, arithmetic, memory: 1 is the cost of {self.chosen}"
        return Group(table, Text(f"{self.reason}\n{unit}"))


def _limit(candidate):
    return "memory" if candidate.memory > candidate.arithmetic else "arithmetic"


def explain(
    problem: Conv2dProblem | Conv2d,
    input_shape: tuple[int, int, int, int] | None = None,
    direction: str = "fwd",
    dtype: str = "float32",
    packed: bool | None = None,
) -> Explanation:
    """Which algorithm a convolution runs on the backend in use, and what the others would cost.

    problem: a Conv2dProblem, or an nn.Conv2d with the input_shape (N, H, W, C) that it is given.
    direction: "fwd", "dgrad" (gradient by x) or "wgrad" (by w). packed: w was packed by an earlier
    inference; None: as it is in inference for "fwd". The precision is what set_float32_precision
    says. Nothing is computed. Raises ArgumentError, ShapeError.
    """
    if isinstance(problem, Conv2d):
        problem = _problem_of(problem, input_shape)
    elif not isinstance(problem, Conv2dProblem):
        raise ArgumentError(
            "explain: problem must be a Conv2dProblem, or an nn.Conv2d with input_shape, got"
            f" {type(problem).__name__}"
        )
    if direction not in DIRECTIONS:
        raise ArgumentError(
            f"explain: direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}"
        )
    packed = direction == "fwd" if packed is None else bool(packed)
    K, dtype = table_for(()), np.dtype(dtype)
    choice = (problem, direction, dtype, state.precision, packed)
    return Explanation(
        problem,
        direction,
        dtype.name,
        K.NAME,
        state.precision,
        packed,
        K.conv2d_choose(*choice),
        K.conv2d_candidates(*choice),
    )


def _problem_of(conv, input_shape):
    if not isinstance(input_shape, tuple) or len(input_shape) != 4:
        raise ArgumentError(
            "explain: input_shape must be a tuple (N, H, W, C) with an nn.Conv2d, got"
            f" {input_shape!r}"
        )
    with Trace(meta=True) as trace:
        conv(Tensor(Spec(input_shape, np.dtype("float32"))))
    (record,) = trace.records
    fields = record.fields
    x, w = (Spec(*spec) for spec in record.inputs[:2])
    return conv2d_problem(
        "explain", x, w, fields["stride"], fields["padding"], fields["dilation"], fields["groups"]
    )
