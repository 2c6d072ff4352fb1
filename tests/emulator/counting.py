"""What a call costs in the emulator: sectors of global memory, wavefronts of shared, launches."""

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options

__all__ = ["launches", "sectors", "wavefronts"]


def _counted(call, read):
    _emulator.reset_counters()
    with emulator_options(count=True):
        call()
        return read()


def _moved(call, space, kind):
    rows = _counted(call, _emulator.counters)
    rows = [r for r in rows if r["space"] == space and r["kind"] == kind]
    return sum(r["ideal"] for r in rows), sum(r["transfers"] for r in rows)


def sectors(call, kind):
    """(ideal, moved): sectors that the call's bytes fill, and that it moved. kind: "read" or
    "write"."""
    return _moved(call, "global", kind)


def wavefronts(call, kind):
    """The same of shared memory."""
    return _moved(call, "shared", kind)


def launches(call):
    return sum(r["launches"] for r in _counted(call, _emulator.kernel_counts))
