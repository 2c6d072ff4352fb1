"""Makes the virtual environment of a make target, or re-uses it: python tools/environment.py test.

Runs on the bare interpreter, before anything is installed. Whatever state it finds (nothing, a half
made environment, one that was moved, one of another Python), it ends with a working one or with one
error that says what to do. A second call only asks the build tool whether a C++ file changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

try:
    import tomllib
except ImportError:
    sys.exit(
        f"fastconv needs Python 3.11 or later, {sys.executable} is {sys.version.split()[0]}. "
        "Name another one: make PYTHON=python3.12 ..."
    )

ROOT = Path(__file__).resolve().parent.parent
STAMP = "fastconv-installed"


class SetupError(Exception):
    """The environment cannot be made; the text names the fix."""


def native_wanted() -> bool:
    """False where FASTCONV_NATIVE switches the compiled module off."""
    return not re.fullmatch("off|0|no|false", os.environ.get("FASTCONV_NATIVE", "ON"), re.I)


def run(*command: str | Path) -> str:
    """Run a command in the repository and return what it printed; SetupError if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(
        words,
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode:
        raise SetupError(f"{' '.join(words)} failed ({result.returncode}):\n{result.stdout}")
    return result.stdout


def healthy(folder: Path) -> bool:
    """Whether its Python starts, is of the running version, was not moved, and has pip."""
    python = folder / "bin" / "python"
    probe = "import sys, pip; print(sys.prefix); print(sys.version.split()[0])"
    try:
        result = subprocess.run(
            [str(python), "-I", "-c", probe], capture_output=True, text=True, timeout=60
        )
        # scripts in bin/ carry the absolute path: a moved environment runs another one's Python
        activate = (folder / "bin" / "activate").read_text()
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return False
    here = [str(folder), sys.version.split()[0]]
    return result.returncode == 0 and result.stdout.split("\n")[:2] == here and here[0] in activate


def create(folder: Path) -> None:
    """A fresh environment of the running interpreter, in place of what is there."""
    print(f"making {folder} with Python {sys.version.split()[0]}", flush=True)
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    try:
        venv.create(folder, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, ImportError, OSError) as error:
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment ({error}). "
            "Debian/Ubuntu: apt install python3-venv"
        ) from error


def requirements(extras: list[str]) -> tuple[list[str], list[str]]:
    """What has to be there before fastconv is built and imported, as pyproject.toml says: to be
    installed with its dependencies, and without."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    unknown = set(extras) - set(project["optional-dependencies"])
    if unknown:
        raise SetupError(f"pyproject.toml has no extra {', '.join(sorted(unknown))}")
    cmake = "cmake" + pyproject["tool"]["scikit-build"]["cmake"]["version"]
    found = [*pyproject["build-system"]["requires"], cmake, "ninja", *project["dependencies"]]
    for extra in extras:
        found += project["optional-dependencies"][extra]
    alone = set(pyproject["tool"]["fastconv"]["without-dependencies"])
    bare = [r for r in found if re.match(r"[\w.-]+", r)[0] in alone]
    return [r for r in found if r not in bare], bare


def wanted_state(extras: list[str]) -> str:
    """Changes whenever the installation has to be done again."""
    digest = hashlib.sha256()
    for name in ["pyproject.toml", "fastconv/version.py", "tools/environment.py"]:
        digest.update((ROOT / name).read_bytes())
    digest.update(repr((str(ROOT), sys.version, native_wanted())).encode())
    return f"{digest.hexdigest()} {','.join(extras)}"


def build_tree(folder: Path) -> Path | None:
    """The build tree of the editable installation; one of another place or tool is removed."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for tree in sorted((ROOT / "build").glob(f"{tag}-*")):
        cache = tree / "CMakeCache.txt"
        text = cache.read_text(errors="replace") if cache.is_file() else ""
        if (
            f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" in text
            and f"CMAKE_COMMAND:INTERNAL={folder}/" in text
            and (tree / "build.ninja").is_file()
        ):
            return tree
        shutil.rmtree(tree)
    return None


def install(folder: Path, extras: list[str]) -> None:
    """Dependencies, then fastconv itself, editable, its native module built into fastconv/."""
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
    names = ", ".join(extras) or "core only"
    print(f"installing the dependencies of fastconv ({names})", flush=True)
    complete, bare = requirements(extras)
    run(*pip, "--quiet", *complete)
    if bare:
        run(*pip, "--quiet", "--no-deps", *bare)
    print("building fastconv", flush=True)
    if not native_wanted():
        for module in (ROOT / "fastconv").glob("_*.so"):
            module.unlink()
    # no isolation: the build tree is kept, so the tools it was configured with must stay
    log = run(*pip, "--verbose", "--no-deps", "--no-build-isolation", "--editable", ".")
    print("\n".join(re.findall(r"-- (fastconv: .*)", log)), flush=True)


def packages(folder: Path) -> set[str]:
    """What lies in site-packages, without the metadata that carries version numbers."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    names = os.listdir(folder / "lib" / version / "site-packages")
    return {name for name in names if not name.endswith((".dist-info", "__pycache__"))}


def prepare(folder: Path, extras: list[str]) -> None:
    """Bring the environment to the wanted state and the native module up to date.

    The stamp, written last, is one line of state and then one line per installed package: something
    that was deleted since, which pip would not notice, is a reason to begin anew.
    """
    stamp = folder / STAMP
    if not healthy(folder):
        create(folder)
    before, *installed = stamp.read_text().splitlines() if stamp.is_file() else [" "]
    if set(installed) - packages(folder):
        create(folder)
        before = " "
    together = sorted({*extras, *filter(None, before.split(" ")[1].split(","))})
    wanted = wanted_state(together)
    tree = build_tree(folder) if native_wanted() else None
    if wanted != before or (native_wanted() and tree is None):
        stamp.unlink(missing_ok=True)  # an interrupted installation must not look finished
        install(folder, together)
        stamp.write_text("\n".join([wanted, *sorted(packages(folder))]))
    elif tree is not None:
        run(folder / "bin" / "cmake", "--build", tree)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml: test, peers, lint ...")
    parser.add_argument("--venv", default=".venv", help="where the environment is")
    arguments = parser.parse_args()
    folder = (ROOT / arguments.venv).absolute()
    try:
        prepare(folder, arguments.extras)
    except SetupError as error:
        print(f"tools/environment.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
