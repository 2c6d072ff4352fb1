"""Two sides in turn, ours and a peer: rounds that other programs disturbed do not count."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import count
from statistics import median

import numpy as np

from fastconv.bench.run_queue import waited, waits
from fastconv.bench.timing import HOST, Timing, burst

# a round is discarded if on either side threads waited for a core longer than this share of
# seconds x threads
DISTURBED = 0.05
RESAMPLED, CONFIDENCE = 2000, 0.95


@dataclass
class Piece:
    """One side of one round."""

    seconds: float  # of a step
    waiting: float | None  # share of seconds x threads in the queue for a core; None: not counted


@dataclass
class Round:
    """Ours and the peer's, one right after the other."""

    ours: Piece
    peer: Piece

    @property
    def disturbed(self) -> bool:
        return any((piece.waiting or 0.0) > DISTURBED for piece in (self.ours, self.peer))

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer we are."""
        return self.peer.seconds / self.ours.seconds


@dataclass
class Pairs:
    """The rounds of one pair of sides, in the order in which they ran."""

    wanted: int  # undisturbed rounds
    rounds: list[Round] = field(default_factory=list)

    @property
    def undisturbed(self) -> list[Round]:
        return [r for r in self.rounds if not r.disturbed]

    @property
    def gave_up(self) -> bool:
        """More were discarded than would have been kept: the machine is not ours."""
        return len(self.rounds) - len(self.undisturbed) > self.wanted

    @property
    def complete(self) -> bool:
        return self.gave_up or len(self.undisturbed) >= self.wanted

    @property
    def counted(self) -> list[Round]:
        """Rounds that the figures are of: where it gave up all of them, for want of better ones."""
        return self.rounds if self.gave_up else self.undisturbed

    @property
    def ours(self) -> Timing:
        return Timing([r.ours.seconds for r in self.counted])

    @property
    def peer(self) -> Timing:
        return Timing([r.peer.seconds for r in self.counted])

    @property
    def ratios(self) -> list[float]:
        return [r.ratio for r in self.counted]

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer we are: the median over the rounds."""
        return median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """CONFIDENCE of the ratio, by bootstrap over rounds (percentiles of the median)."""
        ratios = np.array(self.ratios)
        rng = np.random.default_rng(0)
        medians = np.median(rng.choice(ratios, (RESAMPLED, len(ratios))), axis=1)
        low, high = np.quantile(medians, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(low), float(high)

    def as_dict(self) -> dict:
        """For JSON: every round, with what was made of them."""
        rounds = [asdict(r) | {"discarded": r.disturbed} for r in self.rounds]
        figures = {
            side: {"median": t.median, "quartile_spread": t.quartile_spread}
            for side, t in (("ours", self.ours), ("peer", self.peer))
        }
        ratio = {"median": self.ratio, "interval": self.interval}
        ratio |= {"min": min(self.ratios), "max": max(self.ratios)}
        return {"gave_up": self.gave_up, **figures, "ratio": ratio, "rounds": rounds}


def time_pairs(
    ours: Callable[[], object],
    peers: dict[str, Callable[[], object]],
    wanted: int,
    threads: int,
    clock=HOST,
    queue=waits,
) -> dict[str, Pairs]:
    """Ours and each peer in turn, `wanted` undisturbed rounds of every pair or as many discarded
    ones. Each side runs unmeasured first; before each piece the threads of the side before fall
    asleep. queue: what waits() is."""
    run = {"": ours, **peers}
    for side in run.values():
        side()  # packs weights, takes memory
    bursts = {name: burst(side, clock) for name, side in run.items()}

    def piece(name):
        clock.settle()
        before = queue()
        seconds = clock.seconds(run[name], bursts[name])
        waiting = waited(before, queue())
        if waiting is not None:
            waiting /= seconds * bursts[name] * threads
        return Piece(seconds, waiting)

    found = {name: Pairs(wanted) for name in peers}
    for i in count():
        pending = [name for name in peers if not found[name].complete]
        if not pending:
            return found
        # every second round backwards: no side always runs after the same other
        for name in pending[:: 1 if i % 2 == 0 else -1]:
            if i % 2 == 0:
                found[name].rounds.append(Round(ours=piece(""), peer=piece(name)))
            else:
                found[name].rounds.append(Round(peer=piece(name), ours=piece("")))
