"""Stage "sanitize": NVIDIA's compute-sanitizer over a reduced suite, each tool in a process of its
own. Results are not looked at: the stage "kernels" does that.
"""

import re
import shutil
import subprocess
import sys
import time

import numpy as np

from tests.native.conv2d_case import DIRECTIONS, operands, run
from tools.gpu.correctness import PROBLEMS, chosen_cases
from tools.gpu.device import OnDevice
from tools.gpu.process import how_it_ended, run_limited
from tools.gpu.store import ROOT

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
CASES = 40  # the first of every family, and a few more
LARGEST_MACS = 2_000_000  # racecheck watches every access to shared memory
FOUND = 77  # exit status if a tool found something
LONGEST = 150  # seconds of one tool on one suite
SUITES = ("convolutions", "layers")


def run_suite(device, name, cases=CASES):
    """Inside compute-sanitizer."""
    device.without_pool()
    K = OnDevice(device.table, device.xp)
    if name == "layers":
        for case in chosen_cases(reduced=False)[:cases]:
            case.run(K, np.float32, n=1)
        return
    for p in (p for p in PROBLEMS if p.macs <= LARGEST_MACS):
        for direction in DIRECTIONS:
            a, b = operands(p, direction, np.float32, integers=False)
            for algorithm in K.conv2d_algorithms(p, direction, np.dtype(np.float32)):
                run(K, p, direction, algorithm, a, b)


def _call(program, tool, suite, seconds):
    command = [
        *(program, "--tool", tool, "--error-exitcode", str(FOUND), "--print-limit", "20"),
        *("--target-processes", "all"),
        *(["--report-api-errors", "no"] if tool == "memcheck" else []),
        *(sys.executable, str(ROOT / "tools" / "gpu_check.py"), "--suite", suite),
    ]
    done = run_limited(
        command, seconds, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    summary = re.findall(r"^=+ (.*SUMMARY.*)$", done.stdout, re.M)
    facts = {"summary": summary[-1] if summary else None}
    if done.returncode or not summary:
        text = done.stdout if len(done.stdout) < 2000 else done.stdout[:1200] + done.stdout[-700:]
        facts["error"] = f"{how_it_ended(tool, done.returncode)}\n{text}"
    return facts


def items(seconds):
    """`seconds`: of the whole stage."""
    program = shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path="/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer"
    )
    end = time.monotonic() + seconds

    def check(tool, suite):
        if program is None:
            return {"error": "compute-sanitizer is not installed"}
        return _call(program, tool, suite, max(10, min(LONGEST, end - time.monotonic())))

    return [
        (f"{tool} {suite}", lambda tool=tool, suite=suite: check(tool, suite))
        for tool in TOOLS
        for suite in SUITES
    ]
