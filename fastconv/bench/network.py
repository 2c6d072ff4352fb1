"""Everything measured about one network: counts from meta traces, memory, time on every side."""

from dataclasses import asdict, dataclass, field

import fastconv as fc
from fastconv.backend import memory_stats, reset_peak_memory, select
from fastconv.bench.compare import compare
from fastconv.bench.timing import time_interleaved
from fastconv.bench.workload import build

MODES = ("inference", "training")


@dataclass
class Cost:
    """Exact counts for one batch, from meta traces. Memory in bytes."""

    params: int
    trainable_params: int
    macs: int  # of one forward pass
    flops: int  # 2 x macs
    training_macs: int  # forward, and backward's products for every gradient that is needed
    bytes: int  # compulsory traffic of the forward pass
    saved_bytes: int  # activations kept for backward
    predicted_peak: dict[str, int] = field(default_factory=dict)  # per mode


@dataclass
class Side:
    """One side's time in one mode."""

    median: float  # seconds per batch
    spread: float  # (slowest - fastest) / median
    rounds: list[float]
    of_peak: float  # share of the machine's measured FMA peak
    bandwidth: float | None  # compulsory bytes / time (inference)


@dataclass
class NetworkResult:
    """What the report has of one network."""

    name: str
    batch: int
    input_shape: tuple[int, ...]
    dtype: str
    cost: Cost
    comparison: dict[str, float]
    measured_peak: dict[str, int] = field(default_factory=dict)
    times: dict[str, dict[str, Side]] = field(default_factory=dict)  # mode -> side -> time

    def as_dict(self) -> dict:
        return asdict(self)


def count(name: str, batch: int, dtype: str, modes) -> Cost:
    """Counts of a network without computing anything."""
    with fc.Trace(meta=True) as trace:
        work = build(name, batch, dtype)
        params = list(work.model.parameters())
        work.loss()
    cost = Cost(
        params=sum(p.size for p in params),
        trainable_params=sum(p.size for p in params if p.requires_grad),
        macs=trace.macs,
        flops=trace.flops,
        training_macs=trace.macs + trace.backward_macs,
        bytes=sum(r.bytes for r in trace.records),
        saved_bytes=trace.saved_bytes,
    )
    for mode in modes:
        with fc.Trace(meta=True) as trace:
            work = build(name, batch, dtype)
            _step(work, mode)()
        cost.predicted_peak[mode] = trace.peak_bytes
    return cost


def _step(work, mode):
    return work.infer if mode == "inference" else work.train


def measure_peak(name: str, batch: int, dtype: str, mode: str) -> int:
    """Bytes our allocator had handed out at most: parameters, input, one step in that mode."""
    before = memory_stats()["live_bytes"]
    reset_peak_memory()
    work = build(name, batch, dtype)
    _step(work, mode)()
    return memory_stats()["peak_bytes"] - before


def measure(name, batch, dtype, modes, repeats, machine, peers=(), tick=lambda step: None):
    """A NetworkResult; MismatchError before any timing if the answers differ."""
    tick("counting")
    cost = count(name, batch, dtype, modes)
    comparison = compare(name, dtype, "training" in modes, lambda: tick("comparing answers"))
    work = build(name, batch, dtype)
    result = NetworkResult(name, batch, work.x.shape, dtype, cost, comparison)
    for mode in modes:
        if select.NATIVE_BUILT:
            result.measured_peak[mode] = measure_peak(name, batch, dtype, mode)
        sides = {"fastconv": _step(work, mode), "reference": _on_reference(_step(work, mode))}
        sides |= {peer.NAME: peer.step(work, mode) for peer in peers if peer.has(name)}
        timings = time_interleaved(sides, repeats, lambda mode=mode: tick(mode))
        training = mode == "training"
        flops = 2 * (cost.training_macs if training else cost.macs)
        result.times[mode] = {
            side: Side(
                median=t.median,
                spread=t.spread,
                rounds=t.rounds,
                of_peak=flops / t.median / machine.fma_peak,
                bandwidth=None if training else cost.bytes / t.median,
            )
            for side, t in timings.items()
        }
    return result


def _on_reference(step):
    def run():
        with fc.use_backend("reference"):
            step()

    return run
