"""Timing two or more things fairly: interleaved rounds, medians, spread."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, sleep

# threads of the side before (OpenMP, BLAS) spin for a while and would take a core from the next
# side: they are left to fall asleep
PAUSE = 0.2  # seconds
# a step shorter than this is run again and again, or waking up would be all that is measured
BURST = 0.05  # seconds


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


def time_interleaved(
    sides: dict[str, Callable[[], object]], repeats: int, tick: Callable[[], None] = lambda: None
) -> dict[str, Timing]:
    """Run every side unmeasured, then `repeats` rounds in turn, so that drift hits all alike.

    tick() is called after each round of a side (progress bars).
    """
    rounds = {name: [] for name in sides}
    bursts = {}
    for name, run in sides.items():
        slow = _seconds(run, 1) >= BURST
        bursts[name] = 1 if slow else max(1, round(BURST / _seconds(run, 1)))
        tick()
    for i in range(repeats):
        # every second round backwards: no side always runs after the same other
        for name in list(sides)[:: 1 if i % 2 == 0 else -1]:
            sleep(PAUSE)
            rounds[name].append(_seconds(sides[name], bursts[name]))
            tick()
    return {name: Timing(r) for name, r in rounds.items()}


def _seconds(run, times):
    start = perf_counter()
    for _ in range(times):
        run()
    return (perf_counter() - start) / times
