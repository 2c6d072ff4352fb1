"""Runs a few kernels under valgrind: python tools/memcheck.py.

Valgrind finds much in Python, NumPy and the loader that is not ours to judge; an error counts if
fastconv._cpu did it, or the C or C++ library on its behalf. Without valgrind: a skip locally, a
failure where CI is set.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "memcheck"
ISAS = ["baseline", "avx2"]  # valgrind does not know AVX-512


# they do what their caller asks for
LIBRARIES = ("vgpreload", "libc.", "libm.", "libstdc++", "libgcc_s", "ld-linux")


def stack(error: ElementTree.Element) -> list[tuple[str, str]]:
    """(file, function) of each frame of an error, innermost first."""
    frames = error.find("stack")
    return [(Path(f.findtext("obj", "")).name, f.findtext("fn", "?")) for f in frames]


def is_ours(error: ElementTree.Element) -> bool:
    """Whether the innermost function that is no library's belongs to our module."""
    files = [file for file, _ in stack(error) if not file.startswith(LIBRARIES)]
    leak = error.findtext("kind", "").startswith("Leak_")  # Python keeps much until the end
    return bool(files) and files[0].startswith("_cpu.") and not leak


def run(isa: str) -> int:
    """The number of errors that are ours."""
    report = FOLDER / f"{isa}.xml"
    report.unlink(missing_ok=True)
    options = ["--leak-check=no", "--num-callers=40", "--xml=yes", f"--xml-file={report}"]
    environment = {
        **os.environ,
        "FASTCONV_ISA": isa,
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",
        "OPENBLAS_NUM_THREADS": "1",
    }
    environment.pop("OPENBLAS_CORETYPE", None)  # may name a machine that valgrind is not
    command = ["valgrind", *options, sys.executable, "-m", "tests.native.short_run"]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode or not done.stdout.startswith(f"{isa}: "):
        raise SystemExit(f"{' '.join(command)}: status {done.returncode}, {done.stdout!r}")
    errors = ElementTree.parse(report).getroot().findall("error")
    ours = [e for e in errors if is_ours(e)]
    for error in ours:
        print(error.findtext("kind"), error.findtext("what") or error.findtext("xwhat/text"))
        print("".join(f"    {name}  {file}\n" for file, name in stack(error)))
    print(f"{done.stdout.strip()}; {len(ours)} errors of ours, {len(errors)} in all", flush=True)
    return len(ours)


def main() -> int:
    if not shutil.which("valgrind"):
        print("memcheck skipped: valgrind not found: apt install valgrind")
        return int(bool(os.environ.get("CI")))
    FOLDER.mkdir(parents=True, exist_ok=True)
    machine = os.uname().machine
    return int(sum([run(isa) for isa in (ISAS if machine == "x86_64" else ["neon"])]) > 0)


if __name__ == "__main__":
    sys.exit(main())
