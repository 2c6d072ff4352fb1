"""A test file run again with the kernels of a lesser machine."""

import os
import subprocess
import sys

import pytest

from fastconv.backend import cpu


def run_again(file, isa):
    """Runs `file` in a process whose kernels are those of `isa`; skips what runs already."""
    if os.environ.get("FASTCONV_ISA") or cpu.isa() == isa:
        pytest.skip(f"running with {cpu.isa()} kernels already")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file]
    result = subprocess.run(
        command, env={**os.environ, "FASTCONV_ISA": isa}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
