"""Builds fastconv._cpu with sanitizers and runs the kernel tests on it.

The module and a copy of the package lie in build/sanitize-<name>, so that the ordinary build stays
as it is. A finding ends the test process, so the exit status is that of pytest. "pool" builds
and runs tests/native/pool_stress.cpp with ThreadSanitizer, without Python.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tree import copy_package

ROOT = Path(__file__).resolve().parent.parent
# forked children start threads, which TSan refuses by default
TSAN_OPTIONS = "halt_on_error=1:die_after_fork=0"
SUPPRESSIONS = ROOT / "tests" / "native" / "tsan.supp"
# the build tree is not in the copy; page faults are the sanitizer's
LEAVE = ["tests/native/test_objects_cpu.py", "tests/native/test_processes.py"]
TESTS = ["tests/native", *(f"--ignore={name}" for name in LEAVE)]
# TSan is slow: only the tests in which threads meet
THREADED = ["-k", "test_runtime_cpu or test_gemm_cpu or threads_do_not_change or many_threads"]


def build(sanitizers: str, folder: Path) -> None:
    """Configure and compile; only what changed is compiled again."""
    bin_folder = Path(sys.executable).parent
    configure = [
        bin_folder / "cmake",
        *("-S", ROOT, "-B", folder, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={bin_folder / 'ninja'}",
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        "-DFASTCONV_NATIVE=ON",
        "-DFASTCONV_CUDA=OFF",
        f"-DFASTCONV_SANITIZE={sanitizers}",
    ]
    for command in [configure, [bin_folder / "cmake", "--build", folder]]:
        if subprocess.run([str(word) for word in command]).returncode:
            raise SystemExit("the instrumented module was not built")


def compiler(folder: Path) -> str:
    """The C++ compiler of the build tree, which knows where its sanitizer runtimes are."""
    for line in (folder / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_CXX_COMPILER:"):
            return line.partition("=")[2]
    raise SystemExit(f"{folder}: no compiler in CMakeCache.txt")


def runtime_environment(sanitizers: str, folder: Path, tree: Path) -> dict[str, str]:
    """Runtimes are loaded before Python; libstdc++ too, else a C++ exception ends the process."""
    # UBSan's runtime comes along with the module that needs it
    runtimes = {"address": ["libasan.so"], "thread": ["libtsan.so"], "undefined": []}
    names = [name for sanitizer in sanitizers.split(",") for name in runtimes[sanitizer]]
    libraries = []
    for name in [*names, "libstdc++.so"]:
        command = [compiler(folder), f"-print-file-name={name}"]
        path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(path).is_absolute():
            raise SystemExit(f"{command[0]} has no {name}: sanitizer runs need GCC's runtimes")
        libraries.append(str(Path(path).resolve()))
    return {
        **os.environ,
        "LD_PRELOAD": ":".join(libraries),
        # Python itself keeps memory until the end of the process
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": f"{TSAN_OPTIONS}:suppressions={SUPPRESSIONS}",
        # BLAS is not instrumented, so TSan would not see how its threads wait for each other
        **({"OPENBLAS_NUM_THREADS": "1"} if sanitizers == "thread" else {}),
        "PYTHONPATH": f"{tree}:{sysconfig.get_path('platlib')}",
        "PYTHONMALLOC": "malloc",  # or ASan cannot see into Python's own pools
    }


def stress_pool() -> int:
    """The exit status of the thread pool's own test."""
    folder = ROOT / "build" / "sanitize-pool"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [
        ROOT / "tests/native/pool_stress.cpp",
        ROOT / "csrc/cpu/parallel.cpp",
        ROOT / "csrc/cpu/cpu_count.cpp",
    ]
    options = ["-std=c++17", "-O1", "-g", "-fsanitize=thread", "-pthread", f"-I{ROOT / 'csrc'}"]
    program = folder / "pool_stress"
    command = [os.environ.get("CXX") or "c++", *options, *sources, "-o", program]
    subprocess.run(command, check=True)
    environment = {**os.environ, "TSAN_OPTIONS": TSAN_OPTIONS}
    return subprocess.run([program], env=environment, timeout=600).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "sanitizers", choices=["address", "undefined", "address,undefined", "thread", "pool"]
    )
    parser.add_argument("pytest", nargs="*", default=[], help="further arguments of pytest")
    arguments = parser.parse_args()
    if arguments.sanitizers == "pool":
        return stress_pool()
    folder = ROOT / "build" / f"sanitize-{arguments.sanitizers.replace(',', '-')}"
    build(arguments.sanitizers, folder)
    (module,) = folder.glob("csrc/**/_cpu*.so")
    tree = folder / "tree"
    copy_package(ROOT, module, tree)
    environment = runtime_environment(arguments.sanitizers, folder, tree)
    # an environment without the editable installation, which would lead to the ordinary module
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    probe = "import fastconv._cpu; print(fastconv._cpu.__file__)"
    found = subprocess.run(
        [python, "-c", probe], env=environment, cwd=tree, stdout=subprocess.PIPE, text=True
    )
    if found.returncode or not found.stdout.startswith(str(tree)):
        raise SystemExit(f"fastconv._cpu is not the instrumented module of {tree}: {found.stdout}")
    # capture=sys: a finding is written by the runtime just before it ends the process
    options = ["--capture=sys", "-m", "not peers and not full"]
    if arguments.sanitizers == "thread":
        options += THREADED
    command = [python, "-m", "pytest", *options, *TESTS, *arguments.pytest]
    return subprocess.run(command, env=environment, cwd=tree).returncode


if __name__ == "__main__":
    sys.exit(main())
