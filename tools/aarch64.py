"""Cross-compiles fastconv._cpu for 64-bit ARM, with a Python that qemu can run.

Debian's Python for arm64 is unpacked, not installed: apt-get works on its own state and its own
list of packages, all below the folder that the caller names; the wheels come from PyPI.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path

from tree import copy_package

COMPILER = "aarch64-linux-gnu-g++"
PACKAGES = ["python3", "libpython3-dev", "libstdc++6"]
APT = """
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Dir::State "FOLDER/state";
Dir::State::status "FOLDER/state/status";
Dir::Cache "FOLDER/cache";
"""


class MissingPackage(Exception):
    """Something of the system is not there; the text names the command that installs it."""


def need(program: str, package: str) -> None:
    """MissingPackage if the program is not on the PATH."""
    if not shutil.which(program):
        raise MissingPackage(f"{program} not found: apt install {package}")


def call(*words: str | Path, **options) -> None:
    """Run a command quietly; if it fails, show what it printed and end."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}")


def unpack_python(folder: Path) -> Path:
    """The root of a small arm64 system: Python, its headers, the C and C++ libraries."""
    root, apt = folder / "root", folder / "apt"
    if root.is_dir():
        return root
    for new in ["state/lists/partial", "cache/archives/partial"]:
        (apt / new).mkdir(parents=True, exist_ok=True)
    (apt / "state/status").touch()
    configuration = apt / "apt.conf"
    configuration.write_text(APT.replace("FOLDER", str(apt)))
    get = ["env", f"APT_CONFIG={configuration}", "apt-get", "--quiet"]
    print("fetching Debian's Python for arm64", flush=True)
    call(*get, "update")
    call(*get, "install", "--yes", "--download-only", *PACKAGES)
    half = folder / "root.part"
    shutil.rmtree(half, ignore_errors=True)
    for package in sorted(apt.glob("cache/archives/*.deb")):
        call("dpkg", "-x", package, half)
    if not (half / "lib").exists():  # where packages no longer use /lib
        (half / "lib").symlink_to("usr/lib")
    half.rename(root)
    return root


def install_wheels(project: Path, python: Path, site: Path) -> None:
    """What fastconv and its tests import. The pip of this environment, run by the other Python."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    extra = pyproject["project"]["optional-dependencies"]["test"]
    tests = [name for name in extra if name.startswith(("pytest", "hypothesis"))]
    wanted = [*pyproject["project"]["dependencies"], *tests, "pybind11>=2.13"]
    stamp = site / "wanted"
    if stamp.is_file() and stamp.read_text() == repr(wanted):
        return
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    print("fetching wheels for arm64", flush=True)
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--target", site]
    call(python, Path(sysconfig.get_path("purelib"), "pip"), "install", *options, *wanted)
    stamp.write_text(repr(wanted))


def build(project: Path, folder: Path, python: Path, root: Path) -> Path:
    """The compiled module. CMake asks the emulated Python for names and headers."""
    tools = Path(sys.executable).parent
    call(
        *(tools / "cmake", "-S", project, "-B", folder, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={COMPILER}",
        # Debian's pyconfig.h includes <aarch64-linux-gnu/...>; last, so that nothing else is found
        f"-DCMAKE_CXX_FLAGS=-idirafter {root}/usr/include",
        f"-DPython_EXECUTABLE={python}",
        "-DFASTCONV_NATIVE=ON",
        "-DFASTCONV_CUDA=OFF",
    )
    subprocess.run([tools / "cmake", "--build", folder], check=True, stdout=subprocess.DEVNULL)
    (module,) = folder.glob("csrc/**/_cpu*.so")
    return module


def cross_build(
    project: Path, folder: Path, start: Callable[[Path, Path, Path], Path]
) -> tuple[Path, Path]:
    """The emulated Python and a tree with the package, its tests and the arm64 module.

    start(python, root, site) makes the emulated Python.
    """
    need("apt-get", "apt (only Debian's packages hold what is needed)")
    need(COMPILER, "g++-aarch64-linux-gnu")
    root, site = unpack_python(folder), folder / "site"
    python = start(root / "usr/bin/python3", root, site)
    install_wheels(project, python, site)
    module = build(project, folder / "build", python, root)
    tree = folder / "tree"
    copy_package(project, module, tree)
    return python, tree
