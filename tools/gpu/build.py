"""Stage "build": the native modules in place, by cmake and ninja alone; nothing is fetched."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tools.gpu.process import how_it_ended, run_limited
from tools.gpu.store import ROOT

FOLDER = ROOT / "build" / "gpu_check"


def _call(command, log, seconds):
    with log.open("a") as file:
        file.write("$ " + " ".join(map(str, command)) + "\n")
        file.flush()
        done = run_limited(command, seconds, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        return {"error": f"{how_it_ended(command[0], done.returncode)}\n{tail}"}
    return {}


def architectures() -> str:
    """Of the GPUs here, as CMake writes them: "90-real"."""
    done = subprocess.run(
        ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = sorted({line.strip().replace(".", "") for line in done.stdout.splitlines() if line})
    if not found:
        raise RuntimeError("nvidia-smi names no GPU")
    return ";".join(f"{number}-real" for number in found)


def _configure():
    return [
        *("cmake", "-S", ROOT, "-B", FOLDER, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"),
        *("-DFASTCONV_INPLACE=ON", "-DFASTCONV_CUDA=ON", "-DFASTCONV_EMULATOR=OFF"),
        *(f"-DFASTCONV_CUDA_ARCHS={architectures()}", f"-DPython_EXECUTABLE={sys.executable}"),
    ]


USABLE = """
import fastconv as fc
from fastconv.backend.select import gpu_status
print(gpu_status())
assert len(fc.devices()) > 1, gpu_status()
"""


def _import():
    """In a process of its own: this one has seen fastconv without the module."""
    done = subprocess.run([sys.executable, "-c", USABLE], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        return {"error": f"{done.stderr.splitlines()[-1]}\n{done.stderr}"}
    return {"gpus": done.stdout.strip()}


def items(out, seconds):
    log = Path(out) / "build.log"
    log.unlink(missing_ok=True)
    end = time.monotonic() + seconds
    compile_all = ["cmake", "--build", FOLDER, "--target", "_cpu", "_cuda", "-j", os.cpu_count()]
    return [
        ("configure", lambda: _call(_configure(), log, end - time.monotonic())),
        ("compile", lambda: _call(compile_all, log, end - time.monotonic())),
        ("import", _import),
    ]
