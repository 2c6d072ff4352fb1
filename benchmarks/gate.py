"""What the gate costs: microseconds per op beyond its kernel, without and with a Trace.

One op on a tensor of one element; the kernel alone is the same table call into an output that is
already there. Processor time of this thread, medians over blocks of calls, both sides in turn, so
that other programs disturb little. Aims: 5 us, with a Trace 10 us.
"""

import argparse
import statistics
from collections.abc import Callable
from time import thread_time

import numpy as np

import fastconv as fc
from fastconv.backend import IDENTITY, Activation, table_for
from fastconv.core import Tensor
from fastconv.ops.activation import Activate
from fastconv.ops.arithmetic import Add

AIM, AIM_TRACED = 5.0, 10.0
CALLS = 200  # per block: long against the clock, short against the scheduler


def block(call: Callable[[], object]) -> float:
    """Microseconds per call, of one block."""
    start = thread_time()
    for _ in range(CALLS):
        call()
    return (thread_time() - start) / CALLS * 1e6


def medians(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median per side, sides measured in turn."""
    times = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in sides.items():
            times[name].append(block(call))
    return {name: statistics.median(t) for name, t in times.items()}


def traced(call):
    """The same inside a Trace; records are dropped, so that memory does not grow."""

    def inside():
        call()
        trace.records.clear()

    trace = fc.Trace()
    return trace, inside


def calls(needs_grad: bool) -> dict[str, tuple]:
    """Per op, the kernel alone and the same through the gate."""
    x = Tensor(np.ones(1, np.float32), requires_grad=needs_grad)
    y, a = np.empty(1, np.float32), x.data
    K = table_for([a])
    act = Activation("relu")
    return {
        "relu": (lambda: K.activation_fwd(a, y, act), lambda: Activate(act)(x)),
        "add": (lambda: K.add(a, a, y, IDENTITY), lambda: Add()(x, x)),
    }


def measure(repeats: int) -> list[tuple[str, float, float, float]]:
    """(name, kernel, gate, gate with a Trace) in microseconds."""
    rows = []
    for kind, needs_grad in (("no gradient", False), ("with gradient", True)):
        for op, (kernel, call) in calls(needs_grad).items():
            plain = medians({"kernel": kernel, "gate": call}, repeats)
            trace, inside = traced(call)
            with trace:
                with_trace = medians({"gate": inside}, repeats)["gate"]
            alone = plain["kernel"]
            rows.append((f"{op}, {kind}", alone, plain["gate"] - alone, with_trace - alone))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=101, help="blocks of calls per side")
    rows = measure(parser.parse_args().repeats)
    print(f"{'microseconds per op':24} {'kernel':>8} {'gate':>8} {'with a Trace':>13}")
    for name, kernel, gate, with_trace in rows:
        print(f"{name:24} {kernel:8.2f} {gate:8.2f} {with_trace:13.2f}")
    print(f"aims: gate below {AIM} us, with a Trace below {AIM_TRACED} us")


if __name__ == "__main__":
    main()
