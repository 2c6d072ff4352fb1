"""The command line as a user meets it: what it prints, what it refuses and with which exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fastconv.models import list_models, model_info

ROOT = Path(__file__).parents[1]


def fastconv(*arguments, cwd=None, script=None):
    command = [sys.executable, *(script or ["-m", "fastconv"]), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False
    )


def test_models_lists_published_numbers():
    out = fastconv("models", "resnet1*")
    assert out.returncode == 0
    assert "11,689,512" in out.stdout and "resnet152" in out.stdout
    assert "vgg" not in out.stdout


def test_models_fit_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = fastconv("models").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    printed = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert list(printed) == list_models()
    for name, figures in printed.items():
        info = model_info(name)
        shape = "x".join(map(str, info.input_shape))
        flops = f"{2 * info.macs / 1e9:.3f}"
        assert figures == [shape, f"{info.params:,}", f"{info.macs:,}", flops]


def test_one_model_is_described():
    out = fastconv("models", "resnet50").stdout
    for text in ("4,089,184,256", "8,178,368,512", "1512.03385", "VGG", "top-1", "num_classes"):
        assert text in out


def test_summary_prints_exact_totals():
    out = fastconv("summary", "alexnet")
    assert out.returncode == 0
    assert "61,100,840" in out.stdout and "714,188,480" in out.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("summary", "resnet51"), "resnet50"),
        (("models", "alexnot"), "alexnet"),
        (("bench", "--mode", "sideways"), "inference, training or both"),
        (("bench", "--device", "tpu"), "'cpu', 'cuda' or 'cuda:N'"),
        (("bench", "--batch", "0"), "batch must be at least 1"),
        (("bench", "--dtype", "int8"), "float32 or float64"),
        (("bench", "--peers", "jax"), "torch"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(arguments, text):
    out = fastconv(*arguments)
    assert out.returncode == 2
    assert text in out.stderr
    assert len(out.stderr.strip().splitlines()) == 1
    assert "Traceback" not in out.stderr


def test_doctor_finds_this_installation_sound():
    out = fastconv("doctor")
    assert out.returncode == 0, out.stdout + out.stderr
    assert "FAILED" not in out.stdout
    assert "ISA" in out.stdout and "devices" in out.stdout


def test_bench_measures_and_keeps_results(tmp_path):
    out = fastconv(
        *("--models", "lenet5", "--batch", "2", "--repeats", "2"),
        cwd=tmp_path,
        script=[str(ROOT / "benchmarks" / "run.py")],
    )
    assert out.returncode == 0, out.stdout + out.stderr
    assert "61,706" in out.stdout
    (folder,) = (tmp_path / "results").iterdir()
    kept = json.loads((folder / "results.json").read_text())
    (result,) = kept["results"]
    assert result["cost"]["params"] == 61_706
    assert result["cost"]["flops"] == 2 * result["cost"]["macs"]
    for mode in ("inference", "training"):
        for side in ("fastconv", "reference"):
            assert len(result["times"][mode][side]["rounds"]) == 2
            assert result["times"][mode][side]["median"] > 0
    assert kept["machine"]["fma_peak"] > 1e9 and kept["machine"]["copy_bandwidth"] > 1e8
    assert "| lenet5 |" in (folder / "report.md").read_text()


# Ctrl-C at the moment when the second network's turn comes
INTERRUPTED = """
import os, signal, sys, time
from fastconv.cli import bench_main

run = sys.modules["fastconv.bench.run"]  # the package's attribute of that name is the function
measure = run.measure

def until_vgg19(name, *rest):
    if name == "vgg19":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    return measure(name, *rest)

run.measure = until_vgg19
bench_main()
"""


def test_interrupt_keeps_what_was_measured(tmp_path):
    models = ("--models", "lenet5", "--models", "vgg19", "--models", "alexnet")
    out = fastconv(*models, "--repeats", "1", cwd=tmp_path, script=["-c", INTERRUPTED])
    assert out.returncode == 130, out.stdout + out.stderr
    assert "interrupted" in out.stdout
    (folder,) = (tmp_path / "results").iterdir()
    kept = json.loads((folder / "results.json").read_text())
    assert kept["interrupted"] is True
    assert [r["name"] for r in kept["results"]] == ["lenet5"]
