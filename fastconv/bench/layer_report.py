"""Layer results as Markdown: how each class of layers stands to its bar, then every layer."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from fastconv.bench.layers import LayerResult
from fastconv.bench.timing import DISTURBED


@dataclass
class Bar:
    """What a class of layers has to reach: value(result) >= least."""

    name: str
    unit: str
    least: float
    belongs: Callable[[LayerResult], bool]


def _dense(r):
    p = r.problem
    return p.groups == 1 and p.r in (1, 3) and p.c >= 16


def _peak(r):
    return 100 * r.rate("fastconv") / r.peak


def _times(r):
    return r.times["torch"].median / r.times["fastconv"].median


PEAK, TIMES = "% of peak", "times torch"
BARS = (
    Bar("dense 3x3 and 1x1, forward, 14x14 and above", PEAK, 90,
        lambda r: _dense(r) and r.direction == "fwd" and r.problem.p >= 14 and r.problem.n > 1),
    Bar("dense 3x3 and 1x1, forward, below 14x14", PEAK, 80,
        lambda r: _dense(r) and r.direction == "fwd" and r.problem.p < 14 and r.problem.n > 1),
    Bar("dense 3x3 and 1x1, forward, batch 1", PEAK, 80,
        lambda r: _dense(r) and r.direction == "fwd" and r.problem.n == 1),
    Bar("dense 3x3 and 1x1, gradient by x", PEAK, 85,
        lambda r: _dense(r) and r.direction == "dgrad"),
    Bar("dense 3x3 and 1x1, gradient by w", PEAK, 75,
        lambda r: _dense(r) and r.direction == "wgrad"),
    Bar("depthwise, forward", TIMES, 1.5,
        lambda r: r.problem.groups == r.problem.c > 1 and r.direction == "fwd"),
    Bar("depthwise, gradients", TIMES, 1.5,
        lambda r: r.problem.groups == r.problem.c > 1 and r.direction != "fwd"),
    Bar("grouped", TIMES, 1.5,
        lambda r: 1 < r.problem.groups < r.problem.c),
)  # fmt: skip


def shape_of(problem) -> str:
    """One problem in a few characters."""
    p = problem
    groups = f" g{p.groups}" if p.groups > 1 else ""
    return f"{p.n}x{p.h}x{p.w}x{p.c} {p.r}x{p.s}/{p.stride[0]}{groups} -> {p.k}"


def report(results: list[LayerResult], machine) -> str:
    """Markdown. machine: fastconv.bench.machine.Machine of the run."""
    lines = [
        "# Convolution layers",
        "",
        f"{machine.processor}, {machine.threads} threads, {machine.isa}, commit {machine.commit}."
        f" Multiply-add peak {machine.fma_peak / 1e9:.0f} GFLOP/s, copy"
        f" {machine.copy_bandwidth / 1e9:.0f} GB/s at the start of the run.",
        "",
        "`% peak`: of multiply-adds on registers in the same rounds. `% bound`: of that peak, or of"
        " the copy bandwidth for x, w and y once, whichever takes longer. `times torch`: median of"
        " PyTorch (eager, channels_last) over ours, in the same run; rounds in which the"
        f" multiply-adds took over {DISTURBED:g} times their best are measured again. Forward as in"
        " inference, with packed weights kept. Written by `benchmarks/layers.py`.",
        "",
        "| layers | bar | of them | at the bar | median | lowest | lowest layer (its % of bound) |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [text for bar in BARS if (text := _standing(bar, results, machine))]
    lines += [
        "",
        "| layer | pass | algorithm | GFLOP/s | % peak | % bound | torch GFLOP/s | times torch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(r, machine) for r in results]
    return "\n".join(lines) + "\n"


def _bound(r, machine):
    return 100 * r.bound(machine.copy_bandwidth) / r.times["fastconv"].median


def _standing(bar, results, machine):
    mine = [r for r in results if bar.belongs(r) and (bar.unit == PEAK or "torch" in r.times)]
    if not mine:
        return None
    value = _peak if bar.unit == PEAK else _times
    digits = 0 if bar.unit == PEAK else 2
    values = [value(r) for r in mine]
    worst = min(mine, key=value)
    return (
        f"| {bar.name} | {bar.least:g} {bar.unit} | {len(mine)} |"
        f" {sum(v >= bar.least for v in values)} | {median(values):.{digits}f} |"
        f" {min(values):.{digits}f} | {shape_of(worst.problem)} {worst.direction}"
        f" ({_bound(worst, machine):.0f}) |"
    )


def _row(r, machine):
    torch = ("", "")
    if "torch" in r.times:
        torch = (f"{r.rate('torch') / 1e9:.0f}", f"{_times(r):.2f}")
    cells = (
        shape_of(r.problem),
        r.direction,
        r.algorithm,
        f"{r.rate('fastconv') / 1e9:.0f}",
        f"{_peak(r):.0f}",
        f"{_bound(r, machine):.0f}",
        *torch,
    )
    return "| " + " | ".join(cells) + " |"
