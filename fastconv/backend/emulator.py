"""The CUDA kernels on a machine without a GPU: backend/cuda.py over NumPy and _emulator."""

import functools
import importlib
from contextlib import contextmanager

import numpy as np

from fastconv.backend.cuda import DeviceTable

__all__ = ["emulator_is_built", "emulator_options", "emulator_table"]


def _build():
    """What finds or compiles the module; it needs so much that `import fastconv` would feel it."""
    return importlib.import_module("fastconv.backend.emulator_build")


def emulator_is_built() -> bool:
    """Whether emulator_table() has nothing to compile."""
    return _build().built_library() is not None


@functools.cache
def emulator_table() -> DeviceTable:
    """The kernel table; its module is loaded, and compiled if need be, by the first call."""
    return DeviceTable("emulator", _build().extension(), np, stream=lambda: 0)


@contextmanager
def emulator_options(**options):
    """Inside the block the emulator runs so: schedule ("fifo", "lifo", "random") and seed,
    eager_copies (cp.async lands at once), count (counters()), shared_limit (bytes)."""
    extension = emulator_table().extension
    extension.set_options(**options)
    try:
        yield
    finally:
        extension.set_options()
