"""`--device cuda` and `--device emulator` of the benchmark, from the command to the report: CUDA
kernels in the emulator, on NumPy's arrays and on those of a fake CuPy."""

import json
from dataclasses import replace

import pytest

from fastconv.backend import select

if "emulator" not in select.backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.bench import Options, gpu, run
from fastconv.bench.clock import EventClock
from fastconv.bench.network import OURS, count, measure_peak
from fastconv.bench.place import Cuda, place_of
from fastconv.core import state
from tests import fake_cupy

OPTIONS = Options(("lenet5",), batch=2, repeats=1)


@pytest.fixture
def cuda(monkeypatch):
    """ "cuda:0" of a fake GPU."""
    fake_cupy.install(monkeypatch)
    monkeypatch.setattr(gpu, "COPY_BYTES", 1 << 16)
    return place_of("cuda")


def kept(folder):
    return json.loads((folder / "results.json").read_text()), (folder / "report.md").read_text()


def test_the_emulator_is_measured_as_the_cpu_and_labelled(tmp_path):
    options = Options(device="emulator", batch=1, repeats=1, folder=tmp_path)
    report, folder = run(options)
    assert report.failures == {}
    results, text = kept(folder)
    (network,) = results["results"]
    assert network["name"] == "lenet5" and set(network["times"]) == {"inference", "training"}
    assert network["measured_peak"] == {"inference": {}, "training": {}}
    assert results["options"]["device"] == "emulator" and "EMULATED" in text


def test_a_gpu_is_measured_against_cupy(cuda, tmp_path, monkeypatch, capsys):
    timed = []
    seconds = EventClock.seconds
    monkeypatch.setattr(
        EventClock, "seconds", lambda *given: timed.append(seconds(*given)) or timed[-1]
    )
    report, folder = run(replace(OPTIONS, device="cuda", folder=tmp_path))
    assert report.failures == {}
    results, text = kept(folder)
    (network,) = results["results"]
    for mode in ("inference", "training"):
        for side in ("fastconv", "reference"):
            assert set(network["times"][mode][side]["rounds"]) <= set(timed)
            assert network["measured_peak"][mode][side] > 100_000
    assert network["comparison"]["share_of_allowed"] < 1
    assert results["machine"]["gpu"]["name"] == "Fake GPU"
    assert results["machine"]["fma_peak_how"].startswith("derived")
    for words in ("on CuPy", "CUDA events", "L2 cache", "CuPy's pool", "% derived FMA peak"):
        assert words in text
    assert "Fake GPU (compute capability 9.0), 132 multiprocessors" in capsys.readouterr().out


def test_each_side_runs_on_its_own_table(cuda):
    array = cuda._cupy.zeros(1)
    tables = []
    for wrap in OURS.values():
        for _ in range(2):  # a step is run again and again
            wrap(lambda: tables.append(select.table_for([array]).NAME))()
    assert tables == ["cuda", "cuda", "reference", "reference"]


def test_a_wrong_kernel_is_found_on_a_gpu_too(cuda, tmp_path, monkeypatch):
    table = select.cuda_table()
    right = table.activation_fwd

    def wrong(x, y, act):
        right(x, y, act)
        y *= 1.001

    monkeypatch.setattr(table, "activation_fwd", wrong, raising=False)
    report, _ = run(replace(OPTIONS, device="cuda", folder=tmp_path))
    assert report.results == []
    assert "MismatchError: lenet5: logits differs" in report.failures["lenet5"]


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_memory_on_a_gpu_is_predicted_by_its_own_kernels(cuda, mode, monkeypatch):
    predicted = count("lenet5", 8, "float32", (mode,), cuda).predicted_peak[mode]
    assert state.trace is None and select.table_for([]) is not select.cuda_table()
    measured = measure_peak("lenet5", 8, "float32", mode, cuda)
    assert measured == pytest.approx(predicted, rel=0.03)
    monkeypatch.setattr(select.cuda_table(), "conv2d_workspace", lambda *_, **__: 1 << 30)
    assert count("lenet5", 8, "float32", (mode,), cuda).predicted_peak[mode] > 1 << 30


def test_a_gpu_that_fails_on_a_network_is_reported(cuda, tmp_path, monkeypatch):
    def out_of_memory(self):
        raise MemoryError("the device is full")

    monkeypatch.setattr(Cuda, "release", out_of_memory)
    report, folder = run(replace(OPTIONS, device="cuda", folder=tmp_path))
    assert report.failures == {"lenet5": "MemoryError: the device is full"}
    assert "FAILED lenet5" in kept(folder)[1]
