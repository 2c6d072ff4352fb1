"""The kernels of this folder in the emulator: compiled as _emulator compiles those of csrc/cuda,
into a library of their own, whose functions ctypes calls by name."""

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
CSRC = ROOT / "csrc"
SCHEDULES = ["fifo", "lifo", "random"]


class Report(Exception):
    """What the emulator found."""


class Counter(NamedTuple):
    """As csrc/emulator/counters.h has it."""

    file: str
    line: int
    space: str
    kind: str
    bytes: int
    requests: int
    transfers: int
    ideal: int


class CArray(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_int64),
        ("content", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("offset", ctypes.c_int64),
    )


class Role(NamedTuple):
    content: int
    array: np.ndarray
    offset: int


def given(array, offset=0):
    return Role(0, np.ascontiguousarray(array), offset)


def out(array, offset=0):
    return Role(1, array, offset)


def inout(array, offset=0):
    return Role(2, array, offset)


def scratch(size, dtype=np.float32):
    return Role(3, np.empty(size, dtype), 0)


def compiler():
    return shutil.which(os.environ.get("CXX", "g++"))


def sources():
    """(source, flags) of every object; kernel flags are those of _emulator."""
    kernel = (CSRC / "emulator" / "kernel_flags.txt").read_text().split()
    common = ["-std=c++17", "-fPIC", "-fvisibility=hidden", f"-I{CSRC}", f"-I{HERE}"]
    for path in sorted((CSRC / "emulator").glob("*.cpp")):
        if path.name not in ("bind_emulator.cpp", "numpy_arrays.cpp"):
            yield path, [*common, "-O3"]
    yield HERE / "harness.cpp", [*common, "-O1"]
    for path in sorted(HERE.glob("*.cu")):
        yield path, [*common, *kernel, "-x", "c++"]


def digest():
    """Changes with everything that the library is made of."""
    found = hashlib.sha256(subprocess.run([compiler(), "--version"], capture_output=True).stdout)
    inputs = [*(CSRC / "emulator").iterdir(), *(CSRC / "cuda" / "device").iterdir()]
    for path in sorted([*inputs, *HERE.iterdir()]):
        if path.suffix in (".h", ".cpp", ".cu", ".txt") or path == Path(__file__):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def build():
    """The library's path; compiled once, by the first of several test processes."""
    folder = ROOT / "build" / "selftest"
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"selftest-{digest()}.so"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            for old in folder.glob("selftest-*.so"):
                old.unlink()
            objects = []
            for source, flags in sources():
                objects.append(folder / f"{source.name}.o")
                command = [compiler(), *flags, "-c", source, "-o", objects[-1]]
                subprocess.run(command, check=True)
            unfinished = folder / "unfinished.so"
            command = [compiler(), "-shared", *objects, "-ldl", "-o", unfinished]
            subprocess.run(command, check=True)
            unfinished.rename(library)
    return library


@cache
def load():
    library = ctypes.CDLL(str(build()))
    library.selftest_call.restype = ctypes.c_char_p
    library.selftest_counters.restype = ctypes.c_char_p
    return library


def set_options(schedule="fifo", seed=0, eager_copies=False, count=False):
    order = SCHEDULES.index(schedule)
    load().selftest_options(order, ctypes.c_uint64(seed), eager_copies, count)


def call(name, *numbers, **arrays):
    """Run a registered function on arrays, in the order in which it knows them; Report if the
    emulator has one."""
    c_arrays = [
        CArray(role.array.ctypes.data, role.array.nbytes, role.content, key.encode(), role.offset)
        for key, role in arrays.items()
    ]
    c_numbers = (ctypes.c_int64 * 8)(*numbers)
    report = load().selftest_call(name.encode(), len(c_arrays), (CArray * 8)(*c_arrays), c_numbers)
    if report is not None:
        raise Report(report.decode())


def counters():
    """Since the last time."""
    found = []
    for line in load().selftest_counters().decode().splitlines():
        file, *rest = line.split("\t")
        place, space, kind, *sums = map(int, rest)
        spaces, kinds = ["global", "shared"], ["read", "write", "atomic"]
        found.append(Counter(file, place, spaces[space], kinds[kind], *sums))
    return found
