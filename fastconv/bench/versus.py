"""How much faster and smaller than a peer, PyTorch, on this CPU: answers first, then pairs, memory.

Every part runs in a process of its own (versus_parts.py), one after the other.
"""

import os
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import fastconv as fc
from fastconv.backend import set_num_threads
from fastconv.bench.bars import NAMED
from fastconv.bench.interrupt import interruptible
from fastconv.bench.machine import describe
from fastconv.bench.network import MODES
from fastconv.bench.own_process import alone
from fastconv.bench.report import now
from fastconv.bench.run import PEERS, names_of
from fastconv.bench.standing import Row
from fastconv.bench.tables import print_tables, progress_bar
from fastconv.bench.versus_chart import draw
from fastconv.bench.versus_parts import (
    OURS,
    Subject,
    answers_of,
    facts_of,
    memory_of,
    reason,
    shape_of,
    times_of,
)
from fastconv.bench.versus_report import (
    Compared,
    Comparison,
    bar_tables,
    dated_folder,
    headline,
    write,
)
from fastconv.errors import ArgumentError

QUICK_ROUNDS = 3
MEMORY_BATCH = 8
NO_CHART = "no chart: matplotlib is not installed (pip install 'fastconv[plot]')"


@dataclass
class Options:
    """What `python benchmarks/compare.py` was asked for."""

    peer: str = "torch"
    models: tuple[str, ...] = ()  # shell patterns; empty: networks with a bar of their own
    all: bool = False
    mode: str = "both"
    inference_batch: tuple[int, ...] = (1, 8)
    training_batch: tuple[int, ...] = (8,)
    rounds: int = 15
    threads: int | None = None  # None: the cores that this process may use
    quick: bool = False
    memory: bool = True
    chart: bool | None = None  # None: if matplotlib is there
    out: Path | None = None  # None: a dated folder in `results`
    results: Path = Path("results")


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _check(options: Options) -> list[tuple[str, int]]:
    """(mode, batch) of each row; an error of fastconv for what cannot be measured."""
    if options.peer not in PEERS:
        raise ArgumentError(
            f"compare: peer must be one of {', '.join(PEERS)}, got {options.peer!r}"
        )
    if options.mode not in (*MODES, "both"):
        raise ArgumentError(
            f"compare: mode must be inference, training or both, got {options.mode!r}"
        )
    batches = {"inference": options.inference_batch, "training": options.training_batch}
    numbers = [("rounds", options.rounds)]
    numbers += [(f"{mode}-batch", n) for mode, sizes in batches.items() for n in sizes]
    for name, value in numbers:
        if value < 1:
            raise ArgumentError(f"compare: {name} must be at least 1, got {value}")
    if options.threads is not None and not 1 <= options.threads <= cores():
        raise ArgumentError(
            f"compare: threads must be 1 to {cores()}, the cores that this process may use, got"
            f" {options.threads}"
        )
    if find_spec(options.peer) is None:
        raise ArgumentError(
            f"compare: peer {options.peer} is not installed: pip install 'fastconv[peers]'"
        )
    if options.chart and find_spec("matplotlib") is None:
        raise ArgumentError(f"compare: {NO_CHART}")
    modes = MODES if options.mode == "both" else (options.mode,)
    return [(mode, batch) for mode in modes for batch in dict.fromkeys(batches[mode])]


def run(options: Options) -> tuple[Comparison, Path]:
    """Measure, print, write. A failing network is reported, Ctrl-C keeps what is there."""
    rows = _check(options)
    names = fc.models.list_models() if options.all else names_of(options.models or NAMED)
    threads = options.threads or cores()
    set_num_threads(threads)
    facts = alone(facts_of, options.peer, names)
    if not facts.sources:
        raise ArgumentError(f"compare: {options.peer} has none of {', '.join(names)}")
    # folders say nothing about what is measured
    asked = {k: v for k, v in asdict(options).items() if k not in ("out", "results")}
    report = Comparison(describe(), asked, now(), facts.versions)
    report.without = [name for name in names if name not in facts.sources]
    if options.quick:
        report.notes.append("QUICK: small pictures, few rounds: whether it works, not how fast")
    if options.chart is None and find_spec("matplotlib") is None:
        report.notes.append(NO_CHART)
    folder = options.out or dated_folder(
        options.results, report.started, report.machine, options.peer
    )
    subjects = [
        Subject(name, shape_of(name, options.quick), options.peer, threads)
        for name in facts.sources
    ]
    _measure_all(report, subjects, facts.sources, rows, options, folder)
    print_tables(bar_tables(report), headline(report))
    if options.chart is not False and NO_CHART not in report.notes:
        draw(report, folder / "compare.png")
    return report, folder


def _measure_all(report, subjects, sources, rows, options, folder):
    with progress_bar() as progress, interruptible() as interrupt:
        parts = 1 + 2 * len(rows)
        task = progress.add_task("", total=parts * len(subjects))
        for i, subject in enumerate(subjects):

            def tick(what, subject=subject):
                interrupt.check()
                progress.update(task, advance=1, description=f"{subject.name}: {what}")

            progress.update(task, completed=i * parts)
            found = Compared(subject.name, subject.shape, sources[subject.name], {})
            report.results.append(found)
            try:
                _measure(found, subject, rows, options, tick)
            except KeyboardInterrupt:
                report.interrupted = True
            except Exception as error:
                # whatever is wrong with one network, the others are measured; the run exits with 1
                report.failures[subject.name] = reason(error)
            write(report, folder)
            if report.interrupted:
                return


def _measure(found, subject, rows, options, tick):
    """Fills `found` part by part: what was measured before an error is kept."""
    tick("comparing answers")
    found.answers = alone(answers_of, subject, any(mode == "training" for mode, _ in rows))
    rounds = QUICK_ROUNDS if options.quick else options.rounds
    for mode, batch in rows:
        row = Row(mode, batch)
        tick(row.title)
        row.pairs, row.failed = alone(times_of, subject, mode, batch, rounds)
        found.rows.append(row)
        tick(f"memory of {row.title}")
        if options.memory and batch == MEMORY_BATCH:
            row.memory = {
                side: alone(memory_of, subject, side, mode, batch) for side in (OURS, options.peer)
            }
