"""Timing two or more things fairly: interleaved rounds, medians, spread."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


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
    """Run every side once unmeasured, then `repeats` rounds in turn, so that drift hits all alike.

    tick() is called after each run (progress bars).
    """
    rounds = {name: [] for name in sides}
    for run in sides.values():
        run()
        tick()
    for i in range(repeats):
        # every second round backwards: no side always runs after the same other
        for name in list(sides)[:: 1 if i % 2 == 0 else -1]:
            start = perf_counter()
            sides[name]()
            rounds[name].append(perf_counter() - start)
            tick()
    return {name: Timing(r) for name, r in rounds.items()}
