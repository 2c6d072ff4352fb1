"""Floor 1: the kernel tables (reference, cpu; later cuda) and which of them an array goes to."""

from fastconv.backend.activation import ACTIVATIONS, IDENTITY, Activation
from fastconv.backend.arrays import array_module
from fastconv.backend.memory import (
    empty_cache,
    memory_stats,
    num_threads,
    reset_peak_memory,
    set_num_threads,
)
from fastconv.backend.problem import (
    NO_EPILOGUE,
    Conv2dProblem,
    Epilogue,
    Pool2dProblem,
    Prologue,
)
from fastconv.backend.select import (
    backends,
    default_device,
    device_of,
    devices,
    parse_device,
    table_for,
    to_device,
    use_backend,
)

__all__ = [
    "ACTIVATIONS",
    "IDENTITY",
    "NO_EPILOGUE",
    "Activation",
    "Conv2dProblem",
    "Epilogue",
    "Pool2dProblem",
    "Prologue",
    "array_module",
    "backends",
    "default_device",
    "device_of",
    "devices",
    "empty_cache",
    "memory_stats",
    "num_threads",
    "parse_device",
    "reset_peak_memory",
    "set_num_threads",
    "table_for",
    "to_device",
    "use_backend",
]
