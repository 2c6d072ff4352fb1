"""fastconv run-kernel as a reader meets it: what it prints, what it refuses and with which exit
code, and what it says of kernels that are wrong."""

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fastconv.backend.emulator import emulator_table
from fastconv.backend.select import backends
from fastconv.bench import run_kernel as ladder
from fastconv.cli import app
from fastconv.errors import ArgumentError, EmulatorError

LADDER = Path(__file__).parents[2] / "csrc" / "cuda" / "ladder"
needs_emulator = pytest.mark.skipif(
    "emulator" not in backends(), reason="fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)"
)


def run_kernel(*arguments):
    command = [sys.executable, "-m", "fastconv", "run-kernel", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def shown(run, trace, width=80):
    console = Console(width=width, file=io.StringIO())
    ladder.show(run, trace, console)
    return console.file.getvalue()


def test_the_steps_are_those_that_there_are():
    for kernel, names in ladder.STEPS.items():
        files = sorted(path.stem for path in (LADDER / kernel).glob("*.cu"))
        assert files == [f"step{i}_{n.replace(' ', '_')}" for i, n in enumerate(names, 1)]
    assert sorted(ladder.STEPS) == sorted(path.name for path in LADDER.iterdir())


@needs_emulator
@pytest.mark.parametrize(
    ("kernel", "step"), [(kernel, i + 1) for kernel in ladder.STEPS for i in range(4)]
)
def test_every_step_is_right_and_told(kernel, step):
    run = ladder.run_kernel(kernel, step, n=2, h=5, w=6, c=8)
    assert run.wrong == 0
    assert run.blocks >= 1 and run.threads == 256
    assert (run.shared_bytes > 0) == (step > 1)
    assert {line.kind for line in run.lines if line.space == "global"} == {"read", "write"}
    assert all(line.transfers >= line.ideal > 0 for line in run.lines)
    # no instruction of a line is told twice
    keys = {(a.file, a.number, a.space, a.kind, a.nbytes) for a in run.lines}
    assert len(keys) == len(run.lines)


@needs_emulator
def test_the_trace_is_printed():
    out = run_kernel("conv2d", "--step", 3, "--trace", "--h", 8, "--w", 8)
    assert out.returncode == 0, out.stderr
    assert "conv2d, step 3 (register tile): x (1, 8, 8, 32)" in out.stdout
    assert "csrc/cuda/ladder/conv2d/step3_register_tile.cu" in out.stdout
    for word in ("blocks", "threads", "shared bytes", "requests", "transfers", "ideal", "10,240"):
        assert word in out.stdout
    assert "equal to the reference" in out.stdout


@needs_emulator
def test_without_a_trace_there_are_no_lines():
    out = run_kernel("depthwise", "--step", 2, "--c", 4)
    assert out.returncode == 0, out.stderr
    assert "equal to the reference" in out.stdout and "requests" not in out.stdout


@needs_emulator
def test_the_trace_shows_what_the_naive_kernel_does_to_weights():
    run = ladder.run_kernel("conv2d", 1)
    x, w = [line for line in run.lines if line.kind == "read"]
    assert x.of_ideal == 1 and w.of_ideal < 0.2
    text = shown(run, trace=True, width=120)
    assert "acc += value * weights[c];" in text
    assert f"{100 * w.of_ideal:.0f}" in text


@needs_emulator
def test_a_wrong_result_is_said(monkeypatch):
    right = emulator_table().extension

    def wrong(step, x, w, y, problem, stream):
        right.ladder_conv2d(step, x, w, y, problem, stream)
        y[0, 0, 0, :3] += 1

    broken = SimpleNamespace(
        ladder_conv2d=wrong,
        counters=right.counters,
        kernel_counts=right.kernel_counts,
        reset_counters=right.reset_counters,
        set_options=right.set_options,
    )
    monkeypatch.setattr(emulator_table(), "extension", broken)
    run = ladder.run_kernel("conv2d", 2, h=4, w=4)
    assert run.wrong == 3
    assert "y is WRONG: 3 of 1,024 elements" in shown(run, trace=False)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("conv2d", 5), r"no step 5; there are 1 \(naive\), .* 4 \(async ring\)"),
        (("depthwise", 0), r"no step 0; there are 1 \(naive\), .* 4 \(patches\)"),
        (("pool", 1), "there are conv2d, depthwise"),
        (("conv2d", 1, 0), "n must be at least 1, got 0"),
        (("conv2d", 1, 1, 8, 8, 6), "c must be a multiple of 4, got 6"),
        (("depthwise", 1, 1, 8, 8, 8, 16), "k must be c, 8, got 16"),
        (("conv2d", 1, 1, 9999, 9999), "too many for the emulator"),
    ],
)
def test_wrong_requests(arguments, text):
    with pytest.raises(ArgumentError, match=text):
        ladder.run_kernel(*arguments)


def test_what_the_emulator_finds_is_exit_code_1(monkeypatch):
    def race(*_):
        raise EmulatorError("shared-memory race")

    monkeypatch.setattr(ladder, "run_kernel", race)
    out = CliRunner().invoke(app, ["run-kernel", "conv2d"])
    assert out.exit_code == 1
    assert out.stderr == "fastconv: shared-memory race\n"


def test_a_wrong_request_is_one_line_and_exit_code_2():
    out = run_kernel("conv2d", "--step", 9)
    assert out.returncode == 2
    assert len(out.stderr.strip().splitlines()) == 1 and "async ring" in out.stderr
