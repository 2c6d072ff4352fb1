"""The report: tables on the terminal, results.json for machines, report.md for people."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fastconv.bench.machine import Machine
from fastconv.bench.network import NetworkResult
from fastconv.bench.tables import markdown, print_tables

MB = 1e6


@dataclass
class Report:
    """All that one run found, in the order in which it was asked for."""

    machine: Machine
    options: dict
    started: str
    results: list[NetworkResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    method: list[str] = field(default_factory=list)  # how it was measured, a line each
    interrupted: bool = False

    def as_dict(self) -> dict:
        return asdict(self)


def now() -> str:
    """When a run starts: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def start_report(machine: Machine, options: dict, method: list[str]) -> Report:
    return Report(machine, options, now(), method=method)


COST_COLUMNS = (
    "network",
    "input",
    "parameters",
    "MACs",
    "FLOPs",
    "saved MB",
    "peak MB infer\npredict/measure",
    "peak MB train\npredict/measure",
)


def time_columns(report: Report) -> tuple[str, ...]:
    """Of a GPU the multiply-add peak is not measured, and the column says so."""
    share = "% FMA\npeak" if report.machine.gpu is None else "% derived\nFMA peak"
    before = ("network", "mode", "side", "ms/batch", "spread", "img/s", "times\nreference")
    return (*before, share, "GB/s", "peak\nMB")


def cost_rows(report: Report) -> list[list[str]]:
    """MACs, FLOPs and memory of one batch."""
    return [
        [
            r.name,
            "x".join(map(str, r.input_shape)),
            f"{r.cost.params:,}",
            f"{r.cost.macs:,}",
            f"{r.cost.flops:,}",
            f"{r.cost.saved_bytes / MB:,.1f}",
            _peaks(r, "inference"),
            _peaks(r, "training"),
        ]
        for r in report.results
    ]


def _peaks(r, mode):
    return f"{_megabytes(r.cost.predicted_peak.get(mode))}/{_measured(r, mode, 'fastconv')}"


def _measured(r, mode, side):
    return _megabytes(r.measured_peak.get(mode, {}).get(side))


def _megabytes(count):
    return "-" if count is None else f"{count / MB:,.1f}"


def time_rows(report: Report) -> list[list[str]]:
    """One row per network, mode and side, with its speed as a multiple of the reference's."""
    rows = []
    for r in report.results:
        for mode, sides in r.times.items():
            for side, t in sides.items():
                rows.append(
                    [
                        r.name,
                        mode,
                        side,
                        f"{1e3 * t.median:,.1f}",
                        f"{100 * t.spread:.0f}%",
                        f"{r.batch / t.median:,.1f}",
                        f"{sides['reference'].median / t.median:.2f}",
                        f"{100 * t.of_peak:.1f}",
                        "-" if t.bandwidth is None else f"{t.bandwidth / 1e9:.1f}",
                        _measured(r, mode, side),
                    ]
                )
    return rows


def machine_lines(m: Machine, started: str) -> list[str]:
    """Where it was measured and when, a line each."""
    return [
        *([] if m.gpu is None else [str(m.gpu)]),
        f"{m.processor}, {m.threads} threads, {m.isa}; {m.system}",
        f"fastconv {m.fastconv} ({m.commit}), Python {m.python}, NumPy {m.numpy}; {started}",
        f"FMA peak {m.fma_peak / 1e9:.0f} GFLOP/s float32 ({m.fma_peak_how}), copy"
        f" {m.copy_bandwidth / 1e9:.1f} GB/s (read + write, measured now)",
    ]


def headline(report: Report) -> list[str]:
    """Where and how it was measured, a line each."""
    lines = [*machine_lines(report.machine, report.started), *report.method]
    for peer in report.options.get("peers", ()):
        without = [r.name for r in report.results if any(peer not in t for t in r.times.values())]
        if without:
            lines.append(f"{peer} has no twin of {', '.join(without)}: measured without it")
    if report.interrupted:
        lines.append("interrupted: networks after the last row were not measured")
    return lines + [f"FAILED {name}: {text}" for name, text in report.failures.items()]


def print_report(report: Report) -> None:
    """Tables on standard output."""
    print_tables(_tables(report), headline(report))


def _tables(report):
    yield "What it costs (one batch)", COST_COLUMNS, cost_rows(report)
    yield "How long it takes", time_columns(report), time_rows(report)


def write_report(report: Report, folder: Path) -> Path:
    """folder/<time>/results.json and report.md; returns the new folder."""
    target = folder / report.started.replace(":", "").replace("+0000", "Z")
    target.mkdir(parents=True, exist_ok=True)
    (target / "results.json").write_text(json.dumps(report.as_dict(), indent=1))
    page = markdown("fastconv benchmark", headline(report), _tables(report))
    (target / "report.md").write_text(page)
    return target
