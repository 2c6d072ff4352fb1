"""Which lines of the CUDA kernels the emulator's tests run: python tools/kernel_coverage.py.

Builds the emulator with gcov's counters in build/coverage, runs tests/emulator on it, and prints
the share of lines run per file of csrc/cuda, and those that were not. Exit status 1 below 95 %.
Lines of templates that nobody instantiates do not count.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import venv
from collections import defaultdict
from pathlib import Path

from tree import copy_package

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "coverage"
LEAST = 95
LEAVE = [
    # tests of the emulator itself compile their own kernels
    "--ignore-glob=*/test_emulator_*",
    "--ignore-glob=*/test_device_*",
    # whole networks and what is around the kernels: no line that the kernels' own tests miss
    *(f"--ignore-glob=*/test_{name}.py" for name in ("zoo_emulator", "bench_*", "gpu_check")),
    "--ignore-glob=*/test_cupy_arrays.py",
    # shows the sources, which the copy of the package has not
    "--ignore-glob=*/test_run_kernel.py",
    # counts memory traffic per source line, which gcov's counters change
    "--deselect=tests/emulator/test_loss_emulator.py::test_pointwise_losses_move_whole_sectors",
]


def found(program):
    """Beside this Python, else on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if (where := shutil.which(program, path=path)) is None:
        raise SystemExit(f"no {program}")
    return where


def build():
    """The instrumented module; what earlier runs counted is forgotten."""
    configure = [
        found("cmake"),
        *("-S", ROOT, "-B", FOLDER, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={found('ninja')}",
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DFASTCONV_CUDA=OFF",
        "-DFASTCONV_EMULATOR=ON",
        "-DFASTCONV_COVERAGE=ON",
    ]
    for command in [configure, [found("cmake"), "--build", FOLDER, "-t", "_emulator"]]:
        if subprocess.run([str(word) for word in command]).returncode:
            raise SystemExit("the instrumented module was not built")
    for counted in FOLDER.rglob("*.gcda"):
        counted.unlink()
    (module,) = FOLDER.glob("csrc/**/_emulator*.so")
    return module


def run_tests(module, arguments):
    """The exit status of pytest, on a copy of the package around the module."""
    tree = FOLDER / "tree"
    copy_package(ROOT, module, tree)
    # an environment without the editable installation, which would lead to the ordinary module
    venv.create(FOLDER / "venv", symlinks=True)
    python = FOLDER / "venv" / "bin" / "python"
    packages = [path for path in sys.path if path.endswith("site-packages")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), *packages])}
    probe = "import fastconv._emulator; print(fastconv._emulator.__file__)"
    seen = subprocess.run(
        [python, "-c", probe], env=environment, cwd=tree, stdout=subprocess.PIPE, text=True
    )
    if seen.returncode or not seen.stdout.startswith(str(tree)):
        raise SystemExit(f"fastconv._emulator is not that of {tree}: {seen.stdout}")
    # gcov's counters of several processes are added up
    command = [python, "-m", "pytest", "-q", "-n", "auto", "tests/emulator", "-m", "not full"]
    command += [*LEAVE, *arguments]
    return subprocess.run(command, env=environment, cwd=tree).returncode


def read_counts():
    """{file below csrc/cuda: {line: how often it ran}}, over all objects and instances."""
    counts = defaultdict(lambda: defaultdict(int))
    for notes in sorted(FOLDER.rglob("fc_emulated_kernels.dir/**/*.gcno")):
        command = [found("gcov"), "--json-format", "--stdout", notes.name]
        done = subprocess.run(command, cwd=notes.parent, capture_output=True, text=True, check=True)
        for file in json.loads(done.stdout)["files"]:
            path = Path(notes.parent, file["file"]).resolve()
            if ROOT / "csrc" / "cuda" not in path.parents:
                continue
            lines = counts[str(path.relative_to(ROOT / "csrc" / "cuda"))]
            for line in file["lines"]:
                lines[line["line_number"]] += line["count"]
    return counts


def spans(numbers):
    """[3, 4, 5, 9] as "3-5, 9"."""
    pairs = []
    for n in sorted(numbers):
        if pairs and n == pairs[-1][1] + 1:
            pairs[-1][1] = n
        else:
            pairs.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in pairs)


def report(counts):
    """Prints the table; returns the share of all lines in per cent."""
    run = total = 0
    for file, lines in sorted(counts.items()):
        missed = [n for n, times in lines.items() if not times]
        run += len(lines) - len(missed)
        total += len(lines)
        share = 100 * (1 - len(missed) / len(lines))
        print(f"{share:6.1f} % of {len(lines):4}  {file}" + (f": {spans(missed)}" * bool(missed)))
    share = 100 * run / total if total else 0
    print(f"{share:6.1f} % of {total:4}  all")
    return share


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pytest", nargs="*", default=[], help="further arguments of pytest")
    options = parser.parse_args()
    status = run_tests(build(), options.pytest)
    share = report(read_counts())
    if status:
        print(f"the tests failed ({status}): their lines count up to where they did")
    return int(share < LEAST or status != 0)


if __name__ == "__main__":
    sys.exit(main())
