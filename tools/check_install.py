"""Installs fastconv into clean environments, as a stranger would, and runs it there.

The wheel that pip builds from the sdist; the sdist without a compiler (must fail with the fix in
its text) and with FASTCONV_NATIVE=OFF. Core dependencies only. Prints the size of the environment
and the time of `import fastconv`.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICK_BENCH = ["--quick", "--models", "lenet5"]


def check(condition: object, text: str) -> None:
    """End the run with the text if the condition does not hold."""
    if not condition:
        raise SystemExit(f"tools/check_install.py: {text}")


def call(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run outside the repository, so that only what is installed can be imported."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def succeed(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run and return what was printed; a failure ends the run."""
    result = call(*command, folder=folder, **environment)
    check(result.returncode == 0, f"{' '.join(map(str, command))} failed:\n{result.stdout}")
    return result.stdout


def clean_environment(folder: Path) -> Path:
    """A new environment's Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


def install(python: Path, what: Path, **environment: str) -> None:
    """pip install."""
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    succeed(*pip, what, folder=what.parent, **environment)


def nvcc() -> bool:
    """Whether CMake finds a CUDA compiler, as cmake/FastconvCuda.cmake looks for one."""
    home = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    return bool(shutil.which("nvcc")) or (home / "bin" / "nvcc").exists()


def build_archives(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    code = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    check(result.returncode == 0, f"building the sdist failed:\n{result.stdout}{result.stderr}")
    (sdist,) = folder.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", folder]
    succeed(*pip, sdist, folder=folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def check_archives(sdist: Path, wheel: Path) -> None:
    """What has to be inside and what must not."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ["CMakeLists.txt", "LICENSE", "csrc/CMakeLists.txt", "fastconv/version.py"]:
        check(name in names, f"{sdist.name} lacks {name}")
    built = [name for name in names if name.endswith((".so", ".pyc"))]
    check(not built, f"{sdist.name} carries build products: {built}")
    names = set(zipfile.ZipFile(wheel).namelist())
    native = sorted(name.partition(".")[0] for name in names if name.endswith(".so"))
    # the emulator is compiled at its first use, from the sources inside
    for name in ["CMakeLists.txt", "cmake/FastconvCuda.cmake", "csrc/emulator/machine.cpp"]:
        check(f"fastconv/sources/{name}" in names, f"{wheel.name} lacks the source {name}")
    wanted = ["fastconv/_cpu", "fastconv/_cuda"] if nvcc() else ["fastconv/_cpu"]
    check(native == wanted, f"{wheel.name} has the native modules {native}, expected {wanted}")
    strangers = {n for n in names if not re.match(r"fastconv(/|-[^/]+\.dist-info/)", n)}
    check(not strangers, f"{wheel.name} has files outside the package: {sorted(strangers)}")
    pictures = [p for p in ROOT.glob("fastconv/**/*") if p.suffix in {".png", ".jpg", ".npz"}]
    missing = [p.name for p in pictures if str(p.relative_to(ROOT)) not in names]
    check(not missing, f"{wheel.name} lacks the package data {missing}")


def use(python: Path, native: bool) -> None:
    """Import, device list, doctor and a quick benchmark in an empty directory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code = "import fastconv as fc; print(fc.__file__); print(*fc.devices())"
        place, devices = succeed(python, "-c", code, folder=folder).splitlines()
        check("site-packages" in place, f"imported {place}, not the installed package")
        check(
            ("cpu:reference" in devices) == (not native),
            f"fc.devices() says {devices!r} although native={native}",
        )
        print(f"  devices: {devices}")
        doctor = succeed(python, "-m", "fastconv", "doctor", folder=folder)
        check(native or "reference" in doctor, f"doctor hides the missing module:\n{doctor}")
        begin = time.perf_counter()
        succeed(python, ROOT / "benchmarks" / "run.py", *QUICK_BENCH, folder=folder)
        print(f"  benchmarks/run.py {' '.join(QUICK_BENCH)}: {time.perf_counter() - begin:.1f} s")
        check(list(folder.glob("results/*/results.json")), "the benchmark left no results.json")


def report_size(environment: Path, python: Path) -> None:
    """Bytes of site-packages (pip not counted) and the best of five import times."""
    (site,) = environment.glob("lib/python*/site-packages")
    files = [p for p in site.rglob("*") if p.is_file() and p.relative_to(site).parts[0] != "pip"]
    size = sum(p.stat().st_size for p in files) / 1e6
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"

    def best(package: str) -> float:
        times = [succeed(python, "-c", code.format(package), folder=site) for _ in range(5)]
        return 1e3 * min(map(float, times))

    print(f"  core-only environment: {size:.0f} MB without pip")
    print(f"  import fastconv: {best('fastconv'):.0f} ms, of it numpy {best('numpy'):.0f} ms")


def use_emulator(python: Path, wheel: Path, folder: Path) -> None:
    """The extra, the first use that compiles, and a second one that does not."""
    install(python, Path(f"{wheel}[emulator]"))
    ladder = [python, "-m", "fastconv", "run-kernel", "conv2d", "--step", "3", "--trace"]
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    begin = time.perf_counter()
    first = succeed(*ladder, folder=folder, **cache)
    print(f"  first run-kernel, which compiles the emulator: {time.perf_counter() - begin:.0f} s")
    check("compiling the emulator" in first, f"nothing said of compiling:\n{first}")
    begin = time.perf_counter()
    second = succeed(*ladder, folder=folder, **cache)
    print(f"  second run-kernel: {time.perf_counter() - begin:.1f} s")
    check("compiling" not in second, f"compiled again:\n{second}")
    for text in ["is equal to the reference", "step3_register_tile.cu"]:
        check(text in second, f"run-kernel does not print {text!r}:\n{second}")


def without_compiler(folder: Path, sdist: Path) -> None:
    """No compiler: the error names the fix; with FASTCONV_NATIVE=OFF the same machine succeeds."""
    python = clean_environment(folder / "bare")
    tools = folder / "tools"
    tools.mkdir()
    for name in ["sh", "env", "uname"]:
        (tools / name).symlink_to(str(shutil.which(name)))
    bare = {"PATH": str(tools), "CXX": "", "CC": ""}
    pip = [python, "-m", "pip", "install", "--quiet"]
    result = call(*pip, sdist, folder=folder, **bare)
    check(result.returncode != 0, "pip install succeeded without a compiler")
    for text in ["no C++ compiler found", "FASTCONV_NATIVE=OFF"]:
        check(text in result.stdout, f"the error does not say {text!r}:\n{result.stdout}")
    install(python, sdist, **bare, FASTCONV_NATIVE="OFF")
    use(python, native=False)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fastconv-install-") as name:
        folder = Path(name)
        sdist, wheel = build_archives(folder)
        check_archives(sdist, wheel)
        print(f"{sdist.name}, {wheel.name}: contents as expected", flush=True)
        python = clean_environment(folder / "core")
        # pip built this wheel from the sdist, as it does for `pip install .`
        print(f"pip install {wheel.name}:", flush=True)
        install(python, wheel)
        use(python, native=True)
        report_size(folder / "core", python)
        print("pip install 'fastconv[emulator]':", flush=True)
        use_emulator(python, wheel, folder)
        print("without a compiler:", flush=True)
        without_compiler(folder, sdist)
    print("installations: all fine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
