"""The CUDA kernels on a machine without a GPU: backend/cuda.py over NumPy and _emulator."""

from contextlib import contextmanager

import numpy as np

from fastconv import _emulator
from fastconv.backend.cuda import DeviceTable

__all__ = ["TABLE", "emulator_options"]

TABLE = DeviceTable("emulator", _emulator, np, stream=lambda: 0)


@contextmanager
def emulator_options(**options):
    """Inside the block the emulator runs so: schedule ("fifo", "lifo", "random") and seed,
    eager_copies (cp.async lands at once), count (counters()), shared_limit (bytes)."""
    _emulator.set_options(**options)
    try:
        yield
    finally:
        _emulator.set_options()
