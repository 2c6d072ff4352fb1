"""Floor 7: the benchmark: FLOPs, memory and time of networks, against the reference."""

from fastconv.bench.run import Options, run

__all__ = ["Options", "run"]
