"""What the emulator counted of a kernel's main loads and stores; views that vectors do not fit."""

import numpy as np

from fastconv import _emulator
from fastconv.backend.emulator import emulator_options

__all__ = ["assert_coalesced", "unaligned"]

SECTOR, ELEMENT = 32, 4


def unaligned(a):
    """The same values in memory that begins one element past a multiple of 16 bytes."""
    room = np.empty(a.nbytes + 64, np.uint8)
    begin = -room.ctypes.data % 16 + ELEMENT
    view = room[begin : begin + a.nbytes].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def assert_coalesced(name, call, reads=0, writes=0, width=16):
    """Accesses of global memory of `width` bytes: all of these elements, in sectors of which at
    least 90 % are needed. name is for the message."""
    _emulator.reset_counters()
    with emulator_options(count=True):
        call()
    for kind, elements in (("read", reads), ("write", writes)):
        rows = [
            r
            for r in _emulator.counters()
            if r["space"] == "global" and r["kind"] == kind and r["bytes"] == width
        ]
        transfers, ideal = (sum(r[key] for r in rows) for key in ("transfers", "ideal"))
        wanted = elements * ELEMENT / SECTOR
        assert ideal >= 0.99 * wanted, f"{name}: {ideal} of {wanted} sectors, {kind}"
        # parameters and pivots are read beside them; nothing is written twice
        assert kind == "read" or ideal <= 1.01 * wanted, f"{name}: {ideal} of {wanted} written"
        assert ideal >= 0.9 * transfers, f"{name}: {transfers} sectors, ideal {ideal}, {kind}"
    _emulator.reset_counters()
