"""Where the module of the emulator comes from: built with the package (development installs), or
compiled at its first use from the sources that every wheel carries, and kept in the user's cache.

A wheel without it installs in half the time, and `pip install 'fastconv[emulator]'` is all that
its users need beside a C++ compiler.
"""

import fcntl
import functools
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from fastconv.errors import EmulatorError

__all__ = ["built_library", "extension"]

NAME = "fastconv._emulator"
PACKAGE = Path(__file__).resolve().parent.parent
SOURCES = PACKAGE / "sources"  # put there by CMakeLists.txt
LIBRARY = "_emulator" + (sysconfig.get_config_var("EXT_SUFFIX") or ".so")
REMEDY = "pip install 'fastconv[emulator]'"
LINES_SHOWN = 20  # of what a failed build printed


@functools.cache
def extension():
    """fastconv._emulator; compiled now if it never was. EmulatorError says what is missing."""
    if importlib.util.find_spec(NAME) is not None:
        return importlib.import_module(NAME)
    library = built_library() or _build()
    loader = importlib.machinery.ExtensionFileLoader(NAME, str(library))
    spec = importlib.util.spec_from_file_location(NAME, library, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[NAME] = module
    return module


def built_library() -> Path | None:
    """The module's file if it can be loaded without compiling anything."""
    spec = importlib.util.find_spec(NAME)
    if spec is not None:
        return Path(spec.origin)
    kept = _kept()
    return kept if kept is not None and kept.exists() else None


def _kept():
    """Where these sources' module is kept, built or not; None where there are no sources."""
    if not SOURCES.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(p for p in SOURCES.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(SOURCES)).encode())
        digest.update(path.read_bytes())
    # errors name source lines by the path that the compiler saw
    digest.update(str(SOURCES).encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fastconv" / f"emulator-{digest.hexdigest()[:16]}" / LIBRARY


def _build():
    """Compile, once: other processes wait for the one that came first."""
    kept = _kept()
    if kept is None:
        raise EmulatorError(
            "the emulator of CUDA kernels is not built and its sources are not here (fastconv was"
            " installed with FASTCONV_NATIVE=OFF): install it with a C++ compiler"
        )
    cmake = _tool("cmake")
    if cmake is None or importlib.util.find_spec("pybind11") is None:
        raise EmulatorError(
            "the emulator of CUDA kernels is compiled at its first use, which needs CMake,"
            f" pybind11 and a C++ compiler: {REMEDY}"
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    with open(kept.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            sys.stderr.write(
                f"fastconv: compiling the emulator of CUDA kernels into {kept.parent};"
                " once, some minutes\n"
            )
            _compile(cmake, kept)
    return kept


def _compile(cmake, kept):
    with tempfile.TemporaryDirectory(dir=kept.parent) as name:
        folder = Path(name)
        ninja = _tool("ninja")
        _run(
            cmake,
            *("-S", SOURCES, "-B", folder, "-DCMAKE_BUILD_TYPE=Release"),
            *(("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}") if ninja else ()),
            *("-DFASTCONV_NATIVE=ON", "-DFASTCONV_CUDA=OFF", "-DFASTCONV_EMULATOR=ON"),
            f"-DPython_EXECUTABLE={sys.executable}",
        )
        _run(cmake, "--build", folder, "--target", "_emulator", "--parallel", os.cpu_count() or 1)
        (library,) = folder.rglob(LIBRARY)
        # in one step: a process that looks for it finds all of it or nothing
        os.replace(library, kept)


def _tool(name):
    """A program of this environment, else of the PATH."""
    here = Path(sys.executable).parent / name
    return str(here) if here.exists() else shutil.which(name)


def _run(*command):
    result = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        end = "\n".join(result.stdout.splitlines()[-LINES_SHOWN:])
        raise EmulatorError(f"the emulator of CUDA kernels could not be compiled:\n{end}")
