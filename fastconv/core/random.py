"""The random state: one seed and a running offset; every random op takes the next offset.

Element i of a stream is Philox of (seed, offset, i) on every backend, see
fastconv/backend/philox.py.
"""

import threading

from fastconv.errors import ArgumentError

_lock = threading.Lock()
_seed = 0
_offset = 0


def manual_seed(seed: int) -> None:
    """Start over: one seed gives the same parameters and dropout masks on every device."""
    global _seed, _offset
    if not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ArgumentError(f"manual_seed: seed must be an int in [0, 2^64), got {seed!r}")
    with _lock:
        _seed, _offset = seed, 0


def next_stream() -> tuple[int, int]:
    """(seed, offset) of a stream that nobody else gets."""
    global _offset
    with _lock:
        _offset += 1
        return _seed, _offset - 1


def random_state() -> tuple[int, int]:
    """(seed, offset) to continue from later with set_random_state."""
    return _seed, _offset


def set_random_state(saved: tuple[int, int]) -> None:
    """Back to what random_state returned."""
    global _seed, _offset
    with _lock:
        _seed, _offset = saved
