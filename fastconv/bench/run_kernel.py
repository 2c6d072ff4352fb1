"""One step of the ladder of CUDA kernels (csrc/cuda/ladder), run in the emulator: whether it is
right, how it is launched, and with a trace what every source line asks of memory.

Works on a machine without a GPU. Times mean nothing here; the counts are those of a GPU's memory
system (csrc/emulator/counters.h) and the same in every run.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fastconv.backend import Conv2dProblem, reference
from fastconv.backend.emulator import emulator_options, emulator_table
from fastconv.errors import ArgumentError

__all__ = ["STEPS", "KernelRun", "Line", "run_kernel", "show"]

# of each ladder, the names of its steps from 1 on
STEPS = {
    "conv2d": ("naive", "shared tile", "register tile", "async ring"),
    "depthwise": ("naive", "shared weights", "vectors", "patches"),
}
MOST_MACS = 1 << 28  # a quarter of a minute of the emulator
# headings of the trace, and widths that let the tables of a run's files agree
COUNTS = {"bytes": 5, "requests": 9, "transfers": 9, "ideal": 9, "%": 3}
COUNTS_END = 5 + 6 + 5 + sum(COUNTS.values()) + 2 * 8 + 1  # where the source text begins
WINDOW, SAME = 3, (1, 1, 1, 1)


@dataclass(frozen=True)
class Line:
    """What a source line asked of memory with accesses of one size."""

    file: Path
    number: int
    space: str  # "global" or "shared"
    kind: str  # "read" or "write"
    nbytes: int  # of a thread's access
    requests: int  # of warps
    transfers: int  # sectors of 32 bytes, or wavefronts of shared memory
    ideal: int  # transfers if the same bytes lay side by side

    @property
    def of_ideal(self) -> float:
        """1: not one transfer too many."""
        return self.ideal / self.transfers


@dataclass(frozen=True)
class KernelRun:
    """A step of a ladder on one problem."""

    kernel: str
    step: int
    problem: Conv2dProblem
    wrong: int  # elements of y that are not the reference's, bit by bit
    blocks: int
    threads: int  # of a block
    shared_bytes: int  # of a block
    lines: tuple[Line, ...]


def run_kernel(
    kernel: str, step: int, n: int = 1, h: int = 16, w: int = 16, c: int = 32, k: int | None = None
) -> KernelRun:
    """Step `step` of the ladder `kernel` on x (n, h, w, c) with a 3x3 window, stride 1, padding 1
    and k output channels (none given: 64, and c of depthwise). Inputs are small integers."""
    problem = _problem(kernel, step, n, h, w, c, k)
    extension = emulator_table().extension
    rng = np.random.default_rng(0)
    # integers, with sums below 2^24: exact in float32 in every order
    x, weights = (
        rng.integers(-3, 4, shape).astype(np.float32)
        for shape in (problem.x_shape, problem.w_shape)
    )
    expected = np.empty(problem.y_shape, np.float32)
    reference.conv2d_fwd(x, weights, expected, problem, "reference", None)
    y = np.full_like(expected, np.nan)
    extension.reset_counters()
    try:
        with emulator_options(count=True):
            getattr(extension, f"ladder_{kernel}")(step, x, weights, y, problem, 0)
        (launch,) = extension.kernel_counts()
        lines = _lines(extension.counters())
    finally:
        extension.reset_counters()
    return KernelRun(
        kernel,
        step,
        problem,
        int(np.count_nonzero(y != expected)),
        launch["blocks"],
        launch["threads"],
        launch["shared_bytes"],
        lines,
    )


def _problem(kernel, step, n, h, w, c, k):
    if kernel not in STEPS:
        raise ArgumentError(f"run-kernel: no ladder {kernel!r}; there are {', '.join(STEPS)}")
    names = STEPS[kernel]
    if not 1 <= step <= len(names):
        steps = ", ".join(f"{i} ({name})" for i, name in enumerate(names, 1))
        raise ArgumentError(f"run-kernel {kernel}: no step {step}; there are {steps}")
    depthwise = kernel == "depthwise"
    if k is None:
        k = c if depthwise else 64
    for name, value in {"n": n, "h": h, "w": w, "c": c, "k": k}.items():
        if value < 1:
            raise ArgumentError(f"run-kernel: {name} must be at least 1, got {value}")
    if c % 4:
        raise ArgumentError(f"run-kernel: c must be a multiple of 4, got {c}")
    if depthwise and k != c:
        raise ArgumentError(f"run-kernel depthwise: k must be c, {c}, got {k}")
    problem = Conv2dProblem(
        n, h, w, c, k, WINDOW, WINDOW, h, w, pad=SAME, groups=c if depthwise else 1
    )
    if problem.macs > MOST_MACS:
        raise ArgumentError(
            f"run-kernel: {problem.macs:,} multiply-adds are too many for the emulator, which "
            f"takes up to {MOST_MACS:,}: make n, h, w, c or k smaller"
        )
    return problem


def _lines(rows):
    """Instructions of a line, which unrolling multiplies, added up."""
    sums = defaultdict(lambda: np.zeros(3, np.int64))
    for r in rows:
        key = (Path(r["file"]), r["line"], r["space"], r["kind"], r["bytes"])
        sums[key] += (r["requests"], r["transfers"], r["ideal"])
    return tuple(Line(*key, *map(int, sums[key])) for key in sorted(sums))


def show(run: KernelRun, trace: bool, console: Console) -> None:
    """Prints the run; trace: line by line."""
    p = run.problem
    name = STEPS[run.kernel][run.step - 1]
    console.print(
        f"{run.kernel}, step {run.step} ({name}): x {p.x_shape}, w {p.w_shape}, y {p.y_shape}",
        soft_wrap=True,
    )
    table = Table("blocks", "threads per block", "shared bytes per block")
    table.add_row(f"{run.blocks:,}", f"{run.threads:,}", f"{run.shared_bytes:,}")
    console.print(table)
    if trace:
        for file, lines in groupby(run.lines, key=lambda line: line.file):
            console.print(_short(file), soft_wrap=True, highlight=False)
            console.print(_trace(file, lines, console.width))
        console.print(
            "bytes of a thread's access; requests of a warp; transfers: sectors of 32 bytes of "
            "global memory, wavefronts of shared; ideal: transfers if the same bytes lay side by "
            "side; %: ideal of transfers"
        )
    if run.wrong:
        console.print(f"y is WRONG: {run.wrong:,} of {np.prod(p.y_shape):,} elements")
    else:
        console.print("y is equal to the reference, bit by bit")


def _short(file):
    """From csrc on."""
    parts = file.parts
    return "/".join(parts[parts.index("csrc") :]) if "csrc" in parts else file.name


def _trace(file, lines, width):
    # where the sources are not, as in a wheel, there are line numbers only
    text = file.read_text().splitlines() if file.is_file() else []
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("line", justify="right", no_wrap=True, min_width=5)
    table.add_column("space", no_wrap=True, min_width=6)
    table.add_column("kind", no_wrap=True, min_width=5)
    for heading, least in COUNTS.items():
        table.add_column(heading, justify="right", no_wrap=True, min_width=least)
    if text:
        room = max(width - COUNTS_END, len("source"))
        table.add_column("source", no_wrap=True, overflow="ellipsis", max_width=room)
    for line in lines:
        counts = (line.nbytes, line.requests, line.transfers, line.ideal)
        source = [escape("".join(text[line.number - 1 : line.number]).strip())] if text else []
        table.add_row(
            str(line.number),
            line.space,
            line.kind,
            *(f"{value:,}" for value in counts),
            f"{100 * line.of_ideal:.0f}",
            *source,
        )
    return table
