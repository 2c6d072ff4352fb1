"""How far resident memory grows during steps, as the system sees it: the same for every library.

Linux only: VmRSS before, then the peak is reset, VmHWM after STEPS steps. What was there before,
parameters and input among it, is not counted; what a library keeps for its next step is.
"""

import gc
from collections.abc import Callable
from ctypes import CDLL
from pathlib import Path

import fastconv as fc

STEPS = 3  # buffers of momentum and the like are there from the second one on
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"


def growth(step: Callable[[], object]) -> int | None:
    """Bytes that resident memory grew by at most during STEPS steps; None where the system does not
    tell. To be asked in a process in which nothing else was computed (own_process.py)."""
    _give_back()
    try:
        before = _status("VmRSS")
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return None
    for _ in range(STEPS):
        step()
    return _status("VmHWM") - before


def _status(name):
    (line,) = (row for row in STATUS.read_text().splitlines() if row.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])  # "VmRSS:   123456 kB"


def _give_back():
    """What building the network left behind in allocators would hide a part of the growth."""
    gc.collect()
    fc.empty_cache()
    trim = getattr(CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
