"""Floor 7: the benchmark. What each network costs in FLOPs, memory and time, against the
reference."""

from fastconv.bench.run import Options, run

__all__ = ["Options", "run"]
