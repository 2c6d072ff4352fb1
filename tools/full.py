"""Every check there is, stage by stage: `make full`.

    python tools/full.py [--again] [STAGE ...]

A stage that has passed on this very tree is not run again, so that a run of two hours goes on where
it was stopped; --again runs it all the same. Logs and stamps are in build/full/TREE, where TREE is
git's name of the committed tree. Uncommitted changes: every stage is run, nothing is kept.
"""

import argparse
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
# a worker that has nothing left takes tests over from the others: single ones run for minutes
PYTEST = (PYTHON, "-m", "pytest", "-n", "auto", "--dist", "worksteal")
STAGES = {
    "emulator": (*PYTEST, "tests/emulator"),
    "tests": (*PYTEST, "--ignore", "tests/emulator", "-m", "not peers"),
    "peers": (*PYTEST, "-m", "peers"),
    "address": (PYTHON, "tools/sanitize.py", "address,undefined"),
    "pool": (PYTHON, "tools/sanitize.py", "pool"),
    "thread": (PYTHON, "tools/sanitize.py", "thread"),
    "memcheck": (PYTHON, "tools/memcheck.py"),
    "machines": (PYTHON, "tools/emulate.py"),
    "coverage": (PYTHON, "tools/kernel_coverage.py"),
    "install": (PYTHON, "tools/check_install.py"),
}


def git(*arguments):
    return subprocess.check_output(("git", *arguments), cwd=ROOT, text=True).strip()


def folder():
    """Of this tree's logs and stamps; None where something is not committed."""
    if git("status", "--porcelain"):
        return None
    name = f"{git('rev-parse', 'HEAD^{tree}')[:16]}-python{platform.python_version()}"
    return ROOT / "build" / "full" / name


def run(name, logs):
    """(whether the stage passed, its last line)."""
    log = logs / f"{name}.log"
    with log.open("w") as file:
        status = subprocess.call(STAGES[name], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    lines = log.read_text(errors="replace").splitlines()
    if status:
        print("\n".join(lines[-60:]), flush=True)
    last = next((line for line in reversed(lines) if line.strip()), "")
    return status == 0, last.strip("= ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}")
    parser.add_argument("--again", action="store_true", help="also what has passed already")
    options = parser.parse_args()
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"no such stage: {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    kept = folder()
    logs = kept or ROOT / "build" / "full" / "uncommitted"
    logs.mkdir(parents=True, exist_ok=True)
    summary = []
    for name in options.stages or STAGES:
        stamp = logs / f"{name}.passed"
        if kept and stamp.exists() and not options.again:
            summary.append((True, f"{name:10} passed before   {stamp.read_text()}"))
            continue
        stamp.unlink(missing_ok=True)
        print(f"{name}: {' '.join(map(str, STAGES[name][1:]))}", flush=True)
        begin = time.monotonic()
        passed, last = run(name, logs)
        told = f"{time.monotonic() - begin:6.0f} s  {last}"
        summary.append((passed, f"{name:10} {'passed' if passed else 'FAILED'} {told}"))
        print(summary[-1][1], flush=True)
        if passed and kept and folder() == kept:
            stamp.write_text(told)
    print(f"\n{logs.relative_to(ROOT)}")
    print("\n".join(line for _, line in summary))
    return 0 if all(passed for passed, _ in summary) else 1


if __name__ == "__main__":
    raise SystemExit(main())
