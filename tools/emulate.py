"""Runs the kernel tests on machines that this one is not: python tools/emulate.py [NAME ...].

    haswell   x86-64 with AVX2 and FMA, without AVX-512     the module of this environment
    nehalem   x86-64 with SSE4.2, without AVX               the same module
    aarch64   64-bit ARM                                    cross-compiled (tools/aarch64.py)

qemu runs a whole Python, which every process that a test starts goes through too; an instruction
that the machine lacks ends it. Nothing is installed: where a system package is missing, its name is
printed, and that is a skip locally and a failure where CI is set.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import NamedTuple

from aarch64 import MissingPackage, cross_build, need

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "emulate"
# objects on the disk are the same whatever the machine; page faults are qemu's
LEAVE = ["tests/native/test_objects_cpu.py", "tests/native/test_processes.py"]
TESTS = ["tests/native", *(f"--ignore={name}" for name in LEAVE)]


class Machine(NamedTuple):
    """isa: the kernels that fastconv has to choose there."""

    qemu: str
    cpu: str
    isa: str


# without the features that qemu does not know: it would warn at each start
UNKNOWN = "-pcid,-x2apic,-tsc-deadline,-invpcid"
MACHINES = {
    "haswell": Machine("qemu-x86_64-static", f"Haswell-noTSX,{UNKNOWN}", "avx2"),
    "nehalem": Machine("qemu-x86_64-static", "Nehalem", "baseline"),
    "aarch64": Machine("qemu-aarch64-static", "max", "neon"),
}


def emulated_python(folder: Path, machine: Machine, python: Path, root: str, site: Path) -> Path:
    """A virtual environment whose Python is a script that starts qemu.

    sys.executable is that script, so subprocesses are emulated as well.
    """
    script = folder / "bin" / "python"
    library = folder / "lib" / f"python{python.resolve().name.removeprefix('python')}"
    for new in [script.parent, library]:
        new.mkdir(parents=True, exist_ok=True)
    packages = library / "site-packages"
    packages.unlink(missing_ok=True)
    packages.symlink_to(site)
    (folder / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    qemu = f"{machine.qemu} -L '{root}' -cpu {machine.cpu} -0 '{script}'"
    script.write_text(f"#!/bin/sh\nexec {qemu} '{python}' \"$@\"\n")
    script.chmod(0o755)
    return script


def on_x86(name: str, machine: Machine) -> tuple[Path, Path]:
    """The emulated Python and the tree to test: this environment, this working tree."""
    need(machine.qemu, "qemu-user-static")
    if os.uname().machine != "x86_64":
        raise MissingPackage("no x86-64 machine, so no x86-64 module to run")
    real = Path(sys.executable).resolve()
    site = Path(sysconfig.get_path("platlib"))
    return emulated_python(FOLDER / name, machine, real, "/", site), ROOT


def on_aarch64(name: str, machine: Machine) -> tuple[Path, Path]:
    """The emulated Python and the tree to test: Debian's Python, a cross-compiled module."""
    need(machine.qemu, "qemu-user-static")
    folder = FOLDER / name

    def start(python: Path, root: Path, site: Path) -> Path:
        return emulated_python(folder, machine, python, str(root), site)

    return cross_build(ROOT, folder, start)


def run(name: str, arguments: list[str]) -> int:
    """The exit status of pytest on one machine."""
    machine = MACHINES[name]
    begin = time.perf_counter()
    prepare = on_aarch64 if name == "aarch64" else on_x86
    python, tree = prepare(name, machine)
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    for forced in ["FASTCONV_ISA", "OPENBLAS_CORETYPE"]:  # neither we nor NumPy's BLAS are told
        environment.pop(forced, None)
    probe = "from fastconv import _cpu; print(_cpu.isa(), _cpu.__file__)"
    command = [str(python), "-c", probe]
    found = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True)
    if found.returncode or not found.stdout.startswith(f"{machine.isa} {tree}"):
        print(f"{name}: import fastconv._cpu: status {found.returncode}, {found.stdout!r}")
        return 1
    print(f"{name}: {found.stdout.strip()}", flush=True)
    options = ["-q", "-p", "no:cacheprovider", "-m", "not peers and not full"]
    command = [str(python), "-m", "pytest", *options, *TESTS, *arguments]
    status = subprocess.run(command, env=environment, cwd=tree).returncode
    print(f"{name}: status {status} after {time.perf_counter() - begin:.0f} s", flush=True)
    return status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("machines", nargs="*", default=[], help=", ".join(MACHINES))
    parser.add_argument("--pytest", nargs=argparse.REMAINDER, default=[], help="for pytest")
    arguments = parser.parse_args()
    if unknown := set(arguments.machines) - set(MACHINES):
        parser.error(f"no machine {', '.join(sorted(unknown))}; known: {', '.join(MACHINES)}")
    failed = 0
    for name in arguments.machines or MACHINES:
        try:
            failed |= run(name, arguments.pytest) != 0
        except MissingPackage as missing:
            skipped = "FAILED" if os.environ.get("CI") else "skipped"
            print(f"{name}: {skipped}: {missing}", flush=True)
            failed |= skipped == "FAILED"
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
