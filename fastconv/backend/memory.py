"""Threads and memory of the native CPU kernels; without them NumPy decides, and this says so."""

from fastconv.backend import select
from fastconv.errors import ArgumentError, DeviceError

__all__ = ["empty_cache", "memory_stats", "num_threads", "reset_peak_memory", "set_num_threads"]


def _native(name):
    if not select.NATIVE_BUILT:
        raise DeviceError(
            f"{name}: fastconv was built with FASTCONV_NATIVE=OFF: NumPy's own threads and memory"
            " are used, which fastconv neither sets nor sees (OMP_NUM_THREADS sets NumPy's threads)"
        )
    return select.cpu


def set_num_threads(n: int) -> None:
    """Use n threads for CPU kernels, in the whole process. Results are the same for every n."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ArgumentError(f"set_num_threads: n must be an int of at least 1, got {n!r}")
    _native("set_num_threads").set_num_threads(n)


def num_threads() -> int:
    """Threads that CPU kernels use; at first the cores that this process may run on."""
    return _native("num_threads").num_threads()


def memory_stats() -> dict[str, int]:
    """Bytes of CPU arrays that fastconv allocated: "live_bytes", "peak_bytes", "cached_bytes"
    (freed, kept for the next arrays of whatever sizes), and the number of "allocations" that took
    memory from the system.

    Live and cached bytes together stay near the most that was alive at once, a few percent above
    it while a network is trained.
    """
    return dict(_native("memory_stats").memory_stats())


def reset_peak_memory() -> None:
    """Start a new peak_bytes from what is alive now."""
    _native("reset_peak_memory").reset_peak_memory()


def empty_cache() -> None:
    """Give cached memory back to the system; arrays that are alive stay. How much is cached from
    then on goes by what is alive from then on."""
    if select.NATIVE_BUILT:
        select.cpu.empty_cache()
