"""What a comparison with a peer measures, each part in a process of its own (own_process.py)."""

from dataclasses import dataclass
from importlib import import_module

import fastconv as fc
from fastconv.backend import set_num_threads
from fastconv.bench.bars import COMPILE
from fastconv.bench.pairs import Pairs, time_pairs
from fastconv.bench.resident import growth
from fastconv.bench.run import peer_named
from fastconv.bench.workload import build, labels_of, pictures, small_shape, take_statistics

OURS = "fastconv"
REASON = 200  # characters of why something failed: compilers tell whole stories


@dataclass(frozen=True)
class Subject:
    """A network, and how it is compared."""

    name: str
    shape: tuple[int, int, int]  # H, W, C of a picture
    peer: str
    threads: int


@dataclass(frozen=True)
class Facts:
    """What the peer says before anything is measured."""

    versions: dict[str, str]  # of its packages
    sources: dict[str, str]  # name -> where its network is from, of those that it has


def facts_of(peer_name: str, names: list[str]) -> Facts:
    """Of a peer and some of our networks."""
    peer = peer_named(peer_name)
    found = {name: peer.source(name) for name in names}
    sources = {name: where for name, where in found.items() if where}
    return Facts(peer.versions(), sources)


def shape_of(name: str, quick: bool) -> tuple[int, int, int]:
    """(H, W, C) of the pictures."""
    return small_shape(name) if quick else fc.models.model_info(name).input_shape


def answers_of(subject: Subject, training: bool) -> dict[str, float]:
    """Errors relative to float64, by what was compared; MismatchError if the answers differ."""
    set_num_threads(subject.threads)
    peer_named(subject.peer).set_up("cpu")
    answers = import_module(f"fastconv.bench.{subject.peer}_answers")
    return answers.compare_answers(subject.name, subject.shape, training)


def times_of(
    subject: Subject, mode: str, batch: int, rounds: int
) -> tuple[dict[str, Pairs], dict[str, str]]:
    """({variant of the peer: rounds beside ours}, {variant that failed: why})."""
    set_num_threads(subject.threads)
    peer = peer_named(subject.peer)
    peer.set_up("cpu")
    work = build(subject.name, batch, shape=subject.shape)
    take_statistics(work.model, subject.shape)
    steps, failed = {}, {}
    for variant in peer.variants(mode):
        try:
            steps[variant] = peer.step(work, mode, variant)
        except Exception as error:
            if variant != COMPILE:  # which needs a compiler and does not know every network
                raise
            failed[variant] = reason(error)
    return time_pairs(work.step(mode), steps, rounds, subject.threads), failed


def memory_of(subject: Subject, side: str, mode: str, batch: int) -> int | None:
    """Bytes of growth of one side, OURS or the peer's name, with nothing of the other computed."""
    set_num_threads(subject.threads)
    if side == OURS:
        return growth(build(subject.name, batch, shape=subject.shape).step(mode))
    peer = peer_named(subject.peer)
    peer.set_up("cpu")
    inputs = pictures(subject.shape, batch), labels_of(batch)
    return growth(peer.lone_step(subject.name, mode, *inputs))


def reason(error: Exception) -> str:
    """An error in one line that fits into a table."""
    first = str(error).strip().partition("\n")[0].replace("|", "/")
    text = f"{type(error).__name__}: {first}"
    return text if len(text) <= REASON else text[: REASON - 3] + "..."
