"""Whether a GPU can be used, and if not, why: the CUDA module, CuPy, the driver, the GPUs."""

import functools
import importlib
import importlib.util

from fastconv.backend.cuda import DeviceTable

__all__ = ["CUDA_BUILT", "cuda_table", "cuda_version", "find_gpus", "reason_without_gpu"]

CUDA_BUILT = importlib.util.find_spec("fastconv._cuda") is not None
OLDEST = 75  # compute capability 7.5: T4, RTX 20


def _extension():
    """The module, loaded when a GPU is asked for: `import fastconv` shall stay light."""
    return importlib.import_module("fastconv._cuda")


def cuda_version(number: int) -> str:
    """13020 -> "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def reason_without_gpu(extension, cupy, devices):
    """None if GPUs can be used, else one line; the first thing that is missing is named.

    extension: fastconv._cuda or None; cupy: the module or None; devices: what extension.devices()
    gave.
    """
    if extension is None:
        return (
            "fastconv was built without CUDA: install a CUDA toolkit (nvcc) and build again,"
            " FASTCONV_CUDA=ON pip install ."
        )
    built = extension.runtime_version()
    if cupy is None:
        return f"CuPy is not installed: pip install 'fastconv[cuda{built // 1000}]'"
    driver = extension.driver_version()
    if driver == 0:
        return "there is no NVIDIA driver"
    if driver // 1000 < built // 1000:
        return (
            f"the NVIDIA driver knows CUDA {cuda_version(driver)}, fastconv was built with"
            f" {cuda_version(built)}: update the driver, or build with an older toolkit"
        )
    found, why = devices
    if not found:
        return f"the NVIDIA driver finds no GPU ({why})"
    if all(d["capability"] < OLDEST for d in found):
        names = ", ".join(f"{d['name']} ({d['capability'] / 10})" for d in found)
        return f"fastconv needs a GPU of compute capability 7.5 or later, here is {names}"
    theirs = cupy.cuda.runtime.runtimeGetVersion()
    if theirs // 1000 != built // 1000:
        return (
            f"CuPy is for CUDA {theirs // 1000}, fastconv was built with CUDA {built // 1000}:"
            f" pip install 'fastconv[cuda{built // 1000}]'"
        )
    return None


@functools.cache
def find_gpus():
    """(the GPUs as _cuda.devices() has them, None), or ([], why none can be used)."""
    extension = _extension() if CUDA_BUILT else None
    try:
        import cupy
    except ImportError:
        cupy = None
    devices = extension.devices() if extension else ([], "")
    reason = reason_without_gpu(extension, cupy, devices)
    return ([], reason) if reason else (devices[0], None)


@functools.cache
def cuda_table():
    """The kernel table for CuPy arrays, on the caller's current stream."""
    import cupy

    current = cupy.cuda.get_current_stream
    return DeviceTable("cuda", _extension(), cupy, stream=lambda: current().ptr)
