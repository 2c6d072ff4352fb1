"""Everything measured about one network: counts from meta traces, memory, time on every side."""

from dataclasses import asdict, dataclass, field

import fastconv as fc
from fastconv.bench.compare import compare
from fastconv.bench.place import CPU
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
    of_peak: float  # share of the machine's FMA peak
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
    measured_peak: dict[str, dict[str, int]] = field(default_factory=dict)  # mode -> side -> bytes
    times: dict[str, dict[str, Side]] = field(default_factory=dict)  # mode -> side -> time

    def as_dict(self) -> dict:
        return asdict(self)


def count(name: str, batch: int, dtype: str, modes, place=CPU) -> Cost:
    """Counts of a network without computing anything."""
    with place.meta():
        return _count(name, batch, dtype, modes, place.device)


def _count(name, batch, dtype, modes, device):
    with fc.Trace(meta=True) as trace:
        work = build(name, batch, dtype, device)
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
            work = build(name, batch, dtype, device)
            work.step(mode)()
        cost.predicted_peak[mode] = trace.peak_bytes
    return cost


# what makes a side's step of ours
OURS = {"fastconv": lambda step: step, "reference": fc.use_backend("reference")}


def measure_peak(
    name: str, batch: int, dtype: str, mode: str, place=CPU, side: str = "fastconv"
) -> int:
    """Bytes that were handed out at most: parameters, input, one step in that mode."""
    return place.peak(lambda: OURS[side](build(name, batch, dtype, place.device).step(mode)))


def measure(
    name, batch, dtype, modes, repeats, machine, peers=(), tick=lambda step: None, place=CPU
):
    """A NetworkResult; MismatchError before any timing if the answers differ."""
    tick("counting")
    cost = count(name, batch, dtype, modes, place)
    comparing = lambda: tick("comparing answers")  # noqa: E731
    comparison = compare(name, dtype, "training" in modes, comparing, place)
    work = build(name, batch, dtype, place.device)
    result = NetworkResult(name, batch, work.x.shape, dtype, cost, comparison)
    twins = [peer for peer in peers if peer.has(name)]
    for mode in modes:
        result.measured_peak[mode] = {
            side: measure_peak(name, batch, dtype, mode, place, side) for side in place.counted
        } | {peer.NAME: peak for peer in twins if (peak := peer.peak(work, mode)) is not None}
        sides = {side: wrap(work.step(mode)) for side, wrap in OURS.items()}
        sides |= {peer.NAME: peer.step(work, mode) for peer in twins}
        timings = time_interleaved(sides, repeats, lambda mode=mode: tick(mode), place.clock)
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
