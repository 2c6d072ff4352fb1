"""What a call costs in the emulator: memory traffic and launches."""

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options

__all__ = ["counters", "launches", "sectors", "sectors_per_request", "total", "wavefronts"]


def _counted(call, read):
    _emulator.reset_counters()
    with emulator_options(count=True):
        call()
        return read()


def counters(call):
    """A row for each kernel, space, kind and width of access."""
    return _counted(call, _emulator.counters)


def total(rows, column, **which):
    """The sum of a column over the rows that have all of these values."""
    return sum(r[column] for r in rows if all(r[key] == which[key] for key in which))


def _moved(call, space, kind, *columns):
    """Sums of the counters' columns. kind: "read" or "write"."""
    rows = counters(call)
    return tuple(total(rows, column, space=space, kind=kind) for column in columns)


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
