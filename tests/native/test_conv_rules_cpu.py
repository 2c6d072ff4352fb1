"""The convolution problems of tests/data on every instruction set that this machine runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu

ROOT = Path(__file__).resolve().parents[2]
PARTS = 8  # tests that run side by side


def check(isa, which, part, parts):
    """In a process of its own: kernels are chosen once, at import."""
    command = [sys.executable, "-m", "tests.native.conv_rules", which, str(part), str(parts)]
    environment = {**os.environ, "FASTCONV_ISA": isa}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    counted = re.fullmatch(rf"{isa} (\d+) problems, (\d+) checks\n", done.stdout)
    # two rules, three directions, two dtypes, two algorithms at least
    assert counted and int(counted[2]) >= 24 * int(counted[1]) > 0, done.stdout


@pytest.mark.parametrize("isa", cpu.isas())
def test_both_rules_on_a_sample_of_problems(isa):
    check(isa, "sample", 0, 1)


@pytest.mark.full
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("isa", cpu.isas())
def test_both_rules_on_all_problems(isa, part):
    check(isa, "full", part, PARTS)
