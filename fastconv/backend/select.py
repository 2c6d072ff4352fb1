"""Which kernel table serves an array, and which devices there are."""

import importlib.util
import threading
from contextlib import contextmanager

import numpy as np

from fastconv.backend import reference, reference_cupy
from fastconv.backend.emulator import emulator_is_built, emulator_table
from fastconv.backend.gpu import CUDA_BUILT, cuda_table, find_gpus
from fastconv.errors import ArgumentError, DeviceError, MetaError

NATIVE_BUILT = importlib.util.find_spec("fastconv._cpu") is not None

if NATIVE_BUILT:
    from fastconv.backend import cpu

    _TABLES = {"cpu": cpu, "reference": reference}
else:
    _TABLES = {"reference": reference}


class _Local(threading.local):
    table = _TABLES.get("cpu", reference)


_local = _Local()


def backends() -> list[str]:
    """Names that `use_backend` takes here at once; "emulator" only where it is built already."""
    return [*_TABLES, *(["emulator"] if emulator_is_built() else [])]


def table_for(arrays):
    """The backend module for these arrays (None is skipped); DeviceError for several devices."""
    for a in arrays:
        if type(a) is not np.ndarray and a is not None:
            return _table_for_others(arrays)
    return _local.table


def _table_for_others(arrays):
    found = {device_of(a) for a in arrays if a is not None}
    if len(found) > 1:
        raise DeviceError(
            f"all inputs must be on one device, these are on {' and '.join(sorted(found))}:"
            " move them with x.to(device)"
        )
    if found == {"cpu"}:
        return _local.table
    if _local.table is reference:
        return reference_cupy.TABLE
    if not CUDA_BUILT:
        raise DeviceError(
            "CuPy arrays need the CUDA kernels, and fastconv was built without them:"
            " FASTCONV_CUDA=ON pip install ., or run CuPy's own functions inside"
            ' fc.use_backend("reference")'
        )
    return cuda_table()


@contextmanager
def use_backend(name: str):
    """Run every op inside the block on one table: "cpu", "reference" or "emulator" (compiled at
    its first use if it is not built: `pip install 'fastconv[emulator]'`). Per thread; blocks
    nest."""
    if name == "emulator":
        table = emulator_table()
    elif name in _TABLES:
        table = _TABLES[name]
    else:
        raise ArgumentError(
            f"use_backend: name must be one of {[*_TABLES, 'emulator']}, got {name!r}"
            + ("" if NATIVE_BUILT else " (fastconv was built with FASTCONV_NATIVE=OFF)")
        )
    with use_table(table):
        yield


@contextmanager
def use_table(table):
    """Every op inside the block on NumPy or meta arrays takes this table."""
    before = _local.table
    _local.table = table
    try:
        yield
    finally:
        _local.table = before


def device_of(array) -> str:
    """ "cpu" for NumPy, "cuda:i" for CuPy arrays."""
    if isinstance(array, np.ndarray):
        return "cpu"
    if hasattr(array, "__cuda_array_interface__"):
        return f"cuda:{array.device.id}"
    raise MetaError(
        f"a meta tensor of shape {array.shape} has no values: it can only be used inside"
        " `with fc.Trace(meta=True)`"
    )


def gpu_status() -> str:
    """One line: the GPUs that can be used, or why there is none."""
    gpus, reason = find_gpus()
    return reason or ", ".join(gpu["name"] for gpu in gpus)


def devices() -> list[str]:
    """Devices that `device=` and `.to()` take here, best last: ["cpu", "cuda:0", ...].

    Without the native module (FASTCONV_NATIVE=OFF) the first is "cpu:reference": NumPy does the
    work.
    """
    gpus, _ = find_gpus()
    return ["cpu" if NATIVE_BUILT else "cpu:reference", *(f"cuda:{i}" for i in range(len(gpus)))]


def default_device() -> str:
    """Where new tensors and parameters go when no device is named."""
    return "cpu"


def parse_device(device: str | None) -> str:
    """Canonical name ("cpu", "cuda:0"); ArgumentError for nonsense, DeviceError if it is not
    there."""
    if device is None or device == "cpu":
        return "cpu"
    if device == "cpu:reference" and not NATIVE_BUILT:
        return "cpu"
    kind, _, index = str(device).partition(":")
    if kind != "cuda" or not (index == "" or index.isdecimal()):
        raise ArgumentError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    gpus, reason = find_gpus()
    if reason:
        raise DeviceError(f"device={device!r}: {reason}; devices here: {devices()}")
    if int(index or 0) >= len(gpus):
        raise DeviceError(f"device={device!r}: this machine has {len(gpus)} GPUs: {devices()}")
    return f"cuda:{int(index or 0)}"


def to_device(array, device: str):
    """The array on a device (canonical name); the same object if it is there already."""
    here = device_of(array)
    if here == device:
        return array
    import cupy

    if device == "cpu":
        return cupy.asnumpy(array)
    with cupy.cuda.Device(int(device.split(":")[1])):
        return cupy.asarray(array)
