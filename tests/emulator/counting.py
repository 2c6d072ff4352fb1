"""What a call costs in the emulator: memory traffic and launches."""

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options

__all__ = ["launches", "sectors", "sectors_per_request", "wavefronts"]


def _counted(call, read):
    _emulator.reset_counters()
    with emulator_options(count=True):
        call()
        return read()


def _moved(call, space, kind, *columns):
    """Sums of the counters' columns. kind: "read" or "write"."""
    rows = _counted(call, _emulator.counters)
    rows = [r for r in rows if r["space"] == space and r["kind"] == kind]
    return tuple(sum(r[column] for r in rows) for column in columns)


def sectors(call, kind):
    """(ideal, moved): sectors of global memory that the call's bytes fill, and that it moved."""
    return _moved(call, "global", kind, "ideal", "transfers")


def wavefronts(call, kind):
    """The same of shared memory."""
    return _moved(call, "shared", kind, "ideal", "transfers")


def sectors_per_request(call, kind):
    """16 where the lanes of a warp move 16 bytes each."""
    moved, requests = _moved(call, "global", kind, "transfers", "requests")
    return moved / requests


def launches(call):
    return sum(r["launches"] for r in _counted(call, _emulator.kernel_counts))
