"""What a comparison with a peer found: tables for people, JSON with every round."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fastconv.bench.compare import FACTOR
from fastconv.bench.machine import Machine
from fastconv.bench.pairs import CONFIDENCE, DISTURBED
from fastconv.bench.report import MB, machine_lines
from fastconv.bench.resident import STEPS
from fastconv.bench.standing import Row, in_memory, in_speed
from fastconv.bench.tables import markdown
from fastconv.bench.versus_parts import OURS

# in a processor's name, what says neither which one it is nor whose
NOISE = re.compile(r"\([^)]*\)|\b(amd|intel|cpu|processor|with .*|\d+-core)\b|@.*")
MARK = "!"  # behind figures that other programs disturbed

SPEED_COLUMNS = (
    "network", "what", "over", "fastconv ms", "torch ms", "times\nas fast", "95 %\ninterval",
    "bar", "stretch", "reached", "note",
)  # fmt: skip
MEMORY_COLUMNS = (
    "network", "what", "fastconv MB", "torch MB", "ours /\ntorch's", "bar", "stretch", "reached",
)  # fmt: skip
PAIR_COLUMNS = (
    "network", "what", "beside", "fastconv ms", "quartile\nspread", "torch ms", "quartile\nspread",
    "times\nas fast", "95 %\ninterval", "lowest to\nhighest", "rounds\nkept",
)  # fmt: skip
COMPARED = ("logits", "logits in training", "loss", "gradients", "share_of_allowed")
ANSWER_COLUMNS = ("network", "pictures", "PyTorch's from", *COMPARED[:-1], "share of allowed")


@dataclass
class Compared:
    """One network."""

    name: str
    shape: tuple[int, int, int]  # H, W, C of the pictures
    source: str  # where the peer's network is from
    answers: dict[str, float]
    rows: list[Row] = field(default_factory=list)


@dataclass
class Comparison:
    """All that one run found, in the order in which it was asked for."""

    machine: Machine
    options: dict
    started: str
    versions: dict[str, str]  # of the peer's packages
    results: list[Compared] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)  # networks that the peer does not have
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def rows(self):
        """(name, row) of all networks."""
        return [(found.name, row) for found in self.results for row in found.rows]

    def as_dict(self) -> dict:
        """For JSON: every round of every pair, and how each row stands."""
        kept = asdict(self)
        for found, network in zip(self.results, kept["results"]):
            for row, entry in zip(found.rows, network["rows"]):
                entry["pairs"] = {v: pairs.as_dict() for v, pairs in row.pairs.items()}
                for what, standing in (
                    ("speed", in_speed(found.name, row)), ("memory", in_memory(found.name, row)),
                ):  # fmt: skip
                    entry[f"{what}_standing"] = standing and asdict(standing)
        return kept


def headline(report: Comparison) -> list[str]:
    """Where and how it was measured, a line each."""
    pieces = [
        piece
        for _, row in report.rows
        for pairs in row.pairs.values()
        for round_ in pairs.rounds
        for piece in (round_.ours, round_.peer)
    ]
    rule = (
        f"rounds are discarded if on either side threads waited for a core for over"
        f" {100 * DISTURBED:g} % of time x threads; {MARK}: over half were, and all of them count"
    )
    if any(piece.waiting is None for piece in pieces):
        rule = "no round was discarded: this system does not count how long threads wait for a core"
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines = [
        *machine_lines(report.machine, report.started),
        "PyTorch: eager in channels_last and NCHW, for inference also torch.compile (inductor,"
        f" frozen weights, channels_last); the same weights; {versions}",
        f"answers compared first: error relative to float64 up to {FACTOR} times PyTorch's own",
        "time: ours and PyTorch's in turn in one process, as many threads, a pause before each;"
        f" times as fast: median of each round's ratio, {100 * CONFIDENCE:g} % by bootstrap",
        rule,
        f"memory: growth of resident memory during {STEPS} steps, each side in a process of its"
        " own, PyTorch eager in channels_last",
        *report.notes,
    ]
    if report.without:
        lines.append(f"PyTorch has no twin of {', '.join(report.without)}: left out")
    if report.interrupted:
        lines.append("interrupted: what comes after the last row was not measured")
    return lines + [f"FAILED {name}: {text}" for name, text in report.failures.items()]


def bar_tables(report: Comparison):
    """(title, columns, rows) of what has a bar."""
    yield "Speed beside the bars", SPEED_COLUMNS, [_speed(*entry) for entry in report.rows]
    memory = [cells for entry in report.rows if (cells := _memory(*entry))]
    yield "Memory beside the bars", MEMORY_COLUMNS, memory


def tables(report: Comparison):
    """(title, columns, rows) in the order of the page."""
    yield from bar_tables(report)
    pairs = [_pair(name, row, variant) for name, row in report.rows for variant in row.pairs]
    yield "Every pair", PAIR_COLUMNS, pairs
    answers = [_answers(found) for found in report.results if found.answers]
    yield "Answers: our error relative to PyTorch in float64", ANSWER_COLUMNS, answers


def _speed(name, row):
    standing = in_speed(name, row)
    note = "; ".join(f"{variant}: failed: {why}" for variant, why in row.failed.items())
    if standing is None:
        return [name, row.title, *("-" * 8), note]
    pairs = row.pairs[standing.over]
    return [
        name,
        row.title,
        standing.over,
        _ms(pairs.ours.median),
        _ms(pairs.peer.median),
        _ratio(pairs),
        _range(pairs.interval),
        *_bar(standing),
        note,
    ]


def _memory(name, row):
    """None for rows whose memory nobody asked for."""
    if not row.memory:
        return None
    standing = in_memory(name, row)
    theirs = [value for side, value in row.memory.items() if side != OURS] or [None]
    cells = [name, row.title, _megabytes(row.memory.get(OURS)), _megabytes(theirs[0])]
    if standing is None:
        return [*cells, *("-" * 4)]
    return [*cells, f"{standing.ratio:.2f}", *_bar(standing)]


def _pair(name, row, variant):
    pairs = row.pairs[variant]
    return [
        name,
        row.title,
        variant,
        _ms(pairs.ours.median),
        f"{100 * pairs.ours.quartile_spread:.0f}%",
        _ms(pairs.peer.median),
        f"{100 * pairs.peer.quartile_spread:.0f}%",
        _ratio(pairs),
        _range(pairs.interval),
        _range((min(pairs.ratios), max(pairs.ratios))),
        f"{len(pairs.undisturbed)} of {len(pairs.rounds)}",
    ]


def _answers(found):
    shape = "x".join(map(str, found.shape))
    errors = [f"{found.answers[w]:.1e}" if w in found.answers else "-" for w in COMPARED]
    return [found.name, shape, found.source, *errors]


def _ms(seconds):
    return f"{1e3 * seconds:,.2f}"


def _megabytes(count):
    return "not measured" if count is None else f"{count / MB:,.1f}"


def _ratio(pairs):
    return f"{pairs.ratio:.2f}{MARK * pairs.gave_up}"


def _range(ends):
    return f"{ends[0]:.2f} to {ends[1]:.2f}"


def _bar(standing):
    if standing.bar is None:
        return ["-", "-", "-"]
    return [f"{standing.bar.value:g}", f"{standing.bar.stretch:g}", standing.reached]


def dated_folder(root: Path, started: str, machine: Machine, peer: str) -> Path:
    """root/2026-11-21-epyc-2-threads-torch, or the first free -2, -3, .. of it."""
    processor = NOISE.sub(" ", machine.processor.lower())
    words = re.findall(r"[a-z0-9]+", processor) or ["cpu"]
    name = "-".join([started[:10], *words, f"{machine.threads}-threads", peer])
    folder, number = root / name, 2
    while folder.exists():
        folder, number = root / f"{name}-{number}", number + 1
    return folder


def write(report: Comparison, folder: Path) -> None:
    """compare.json and compare.md, whole or not at all; a run that is cut short keeps the last."""
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown("fastconv beside PyTorch", headline(report), tables(report))
    for name, text in (
        ("compare.json", json.dumps(report.as_dict(), indent=1)), ("compare.md", page),
    ):  # fmt: skip
        partial = folder / f"{name}.partial"
        partial.write_text(text + "\n")
        partial.replace(folder / name)
