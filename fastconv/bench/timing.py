"""Timing two or more things fairly: interleaved rounds, medians, spread. A clock (bench/clock.py)
says what a run took."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from statistics import median

import numpy as np

from fastconv.bench.clock import HostClock

# a step shorter than this is run again and again, or waking up would be all that is measured
BURST = 0.05  # seconds
HOST = HostClock()


@dataclass
class Timing:
    """Seconds of each round of one side."""

    rounds: list[float]

    @property
    def median(self) -> float:
        return median(self.rounds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median: what a difference between two medians has to exceed."""
        return (max(self.rounds) - min(self.rounds)) / self.median

    @property
    def quartile_spread(self) -> float:
        """(third - first quartile) / median: the middle half of the rounds, outliers apart."""
        first, third = np.quantile(self.rounds, [0.25, 0.75])
        return float(third - first) / self.median


# a round is measured again if a gauge of constant work took so much longer than its best
DISTURBED = 1.3
# rounds at most, as a multiple of those wanted: on a machine that never rests the least disturbed
# ones count
PATIENCE = 4


class Gauge:
    """Constant work that tells whether the machine is ours: run beside each side of each round."""

    def __init__(self, run: Callable[[], object]):
        self.run = run
        self.best = min(HOST.seconds(run) for _ in range(20))

    def seconds(self) -> float:
        """Of one run now; the best ever is remembered."""
        now = HOST.seconds(self.run)
        self.best = min(self.best, now)
        return now


def time_undisturbed(
    sides: dict[str, Callable[[], object]], repeats: int, gauge: Gauge
) -> tuple[dict[str, Timing], Timing]:
    """As time_interleaved; rounds in which the gauge was disturbed are measured again.

    Each side runs between two runs of the gauge. Returns the sides' timings and the best runs of
    the gauge, of the `repeats` least disturbed rounds.
    """
    bursts = {name: burst(run, HOST) for name, run in sides.items()}
    rounds = []  # (worst gauge, best gauge, seconds by side)
    for i in range(PATIENCE * repeats):
        worst, best, found = 0.0, inf, {}
        for name in list(sides)[:: 1 if i % 2 == 0 else -1]:
            HOST.settle()
            before = min(gauge.seconds(), gauge.seconds())  # the first one wakes the threads
            found[name] = HOST.seconds(sides[name], bursts[name])
            after = gauge.seconds()
            worst, best = max(worst, before, after), min(best, before, after)
        rounds.append((worst, best, found))
        if sum(r[0] <= DISTURBED * gauge.best for r in rounds) >= repeats:
            break
    kept = sorted(rounds, key=lambda r: r[0])[:repeats]
    timings = {name: Timing([found[name] for _, _, found in kept]) for name in sides}
    return timings, Timing([best for _, best, _ in kept])


def burst(run: Callable[[], object], clock) -> int:
    """How many runs in a row are timed as one: as many as take BURST."""
    for _ in range(clock.WARM_UPS):
        run()
    if clock.seconds(run) >= BURST:
        return 1
    return max(1, round(BURST / clock.seconds(run)))


def time_interleaved(
    sides: dict[str, Callable[[], object]],
    repeats: int,
    tick: Callable[[], None] = lambda: None,
    clock=HOST,
) -> dict[str, Timing]:
    """Run every side unmeasured, then `repeats` rounds in turn, so that drift hits all alike.

    tick() is called after each round of a side (progress bars).
    """
    rounds = {name: [] for name in sides}
    bursts = {}
    for name, run in sides.items():
        bursts[name] = burst(run, clock)
        tick()
    for i in range(repeats):
        # every second round backwards: no side always runs after the same other
        for name in list(sides)[:: 1 if i % 2 == 0 else -1]:
            clock.settle()
            rounds[name].append(clock.seconds(sides[name], bursts[name]))
            tick()
    return {name: Timing(r) for name, r in rounds.items()}
