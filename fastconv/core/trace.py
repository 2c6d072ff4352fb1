"""What happened at the gate: one Record per op, and the life of every buffer.

Everything that fastconv says about cost comes from here: multiply-accumulates, compulsory bytes,
saved activations, peak memory, time per op. Memory is counted per buffer, not per array object: a
view shares the Buffer of its base. Buffers die when Python frees the last tensor or saved array
that uses them, so a meta trace walks through exactly the lifetimes of the real run.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fastconv.core.state import state

_serials = count()


class Buffer:
    """Identity of one piece of memory; `version` counts in-place writes to it.

    packed: a copy of it in a kernel's layout (core/packed.py), or None.
    """

    __slots__ = ("kind", "packed", "serial", "version")

    def __init__(self, kind):
        self.kind = kind
        self.serial = next(_serials)
        self.version = 0
        self.packed = None


class TracedBuffer(Buffer):
    """A Buffer that reports its birth and death to the Trace it was made under."""

    __slots__ = ("nbytes", "trace")

    def __init__(self, trace, nbytes, kind):
        self.kind = kind
        self.serial = next(_serials)
        self.version = 0
        self.packed = None
        self.trace = trace
        self.nbytes = nbytes
        trace._count(kind, nbytes)

    def __del__(self):
        self.trace._count(self.kind, -self.nbytes)


def new_buffer(nbytes: int, kind: str) -> Buffer:
    """A Buffer for memory that is made now; counted if a Trace is active."""
    trace = state.trace
    return Buffer(kind) if trace is None else TracedBuffer(trace, nbytes, kind)


@dataclass(slots=True)
class Saved:
    """One buffer kept for backward."""

    serial: int
    nbytes: int
    kind: str


@dataclass(slots=True)
class Record:
    """One op as it passed the gate. Sizes in bytes, times in seconds."""

    name: str  # class name of the op
    fields: dict[str, Any]  # its attributes: stride, padding, ...
    module: Any  # the innermost nn.Module that was running, or None
    inputs: tuple  # (shape, dtype) or None per input
    outputs: tuple  # (shape, dtype) per output
    needs: tuple  # which inputs need a gradient
    macs: int
    backward_macs: int
    bytes: int  # compulsory traffic: every input read once, every output written once
    saved: tuple[Saved, ...]
    aux_bytes: int
    workspace_bytes: int
    kernel: str | None  # algorithm chosen, where there is a choice
    seconds: float | None = None
    backward_seconds: float | None = None


@dataclass
class Trace:
    """Context manager that records every op that passes the gate in this thread.

    meta: compute nothing; tensors and parameters made inside have shape and dtype only (reading
    their values raises MetaError). time: measure each op (forward and backward) with hooks on the
    gate. on_enter(op), on_exit(op, record): called around each forward, for tools.

    Bytes: `peak_bytes` is the most that was alive at once of everything made inside the block, by
    kind in `peak_by_kind`: "input", "parameter", "activation" (outputs and aux), "gradient",
    "state", "packed" (parameters in a kernel's layout), "workspace".
    """

    meta: bool = False
    time: bool = False
    on_enter: Any = None
    on_exit: Any = None
    records: list[Record] = field(default_factory=list)
    live_by_kind: dict[str, int] = field(default_factory=dict)
    live_bytes: int = 0
    peak_bytes: int = 0
    peak_by_kind: dict[str, int] = field(default_factory=dict)
    peak_record: int = 0  # index of the record at which the peak was reached
    modules: list = field(default_factory=list)  # nn.Modules running now, outermost first

    def __enter__(self):
        self._outer = state.trace, state.observed
        state.trace, state.observed = self, True
        return self

    def __exit__(self, *exc):
        state.trace, state.observed = self._outer
        del self._outer

    def _count(self, kind, nbytes):
        self.live_by_kind[kind] = self.live_by_kind.get(kind, 0) + nbytes
        self.live_bytes += nbytes
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes = self.live_bytes
            self.peak_by_kind = dict(self.live_by_kind)
            self.peak_record = len(self.records)

    def transient(self, kind, nbytes):
        """Memory that an op used and gave back before it returned."""
        if nbytes:
            self._count(kind, nbytes)
            self._count(kind, -nbytes)

    def reset_peak(self):
        """Start a new peak from what is alive now."""
        self.peak_bytes = self.live_bytes
        self.peak_by_kind = dict(self.live_by_kind)
        self.peak_record = len(self.records)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the recorded forward passes."""
        return sum(r.macs for r in self.records)

    @property
    def flops(self) -> int:
        """2 x macs."""
        return 2 * self.macs

    @property
    def backward_macs(self) -> int:
        """Multiply-accumulates that backward through the recorded ops takes."""
        return sum(r.backward_macs for r in self.records)

    @property
    def saved_bytes(self) -> int:
        """Bytes kept for backward, each buffer once; parameters, there anyway, not counted."""
        buffers = {
            s.serial: s.nbytes for r in self.records for s in r.saved if s.kind != "parameter"
        }
        return sum(buffers.values())
