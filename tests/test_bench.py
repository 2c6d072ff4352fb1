"""The benchmark's rules: answers before times, failures reported, memory predicted."""

import gc
import json
import signal
import sys
import warnings
from dataclasses import asdict
from functools import partial
from time import sleep

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend import reference, select
from fastconv.bench import Options, run, timing, workload
from fastconv.bench.compare import MismatchError, compare
from fastconv.bench.interrupt import interruptible
from fastconv.bench.layer_report import report
from fastconv.bench.layers import (
    distinct_layers,
    measure_layers,
    result_from,
)
from fastconv.bench.machine import describe
from fastconv.bench.network import count, measure_peak
from fastconv.bench.place import CPU
from fastconv.bench.run import chosen_models
from fastconv.bench.timing import time_interleaved
from fastconv.bench.workload import pictures
from fastconv.core import random_state


def test_pictures_are_real_distinct_and_normalised():
    batch = pictures((96, 96, 3), 5)
    assert batch.shape == (5, 96, 96, 3) and batch.dtype == np.float32
    assert len({image.tobytes() for image in batch}) == 5
    assert abs(batch.mean()) < 1 and 0.5 < batch.std() < 2
    digits = pictures((32, 32, 1), 3)
    assert digits.min() == np.float32(-0.1) and digits.max() <= np.float32(1.1751)
    assert digits[:, :2].max() == np.float32(-0.1)  # the border is background


def test_running_statistics_are_those_of_pictures():
    """With fresh ones GoogLeNet's logits are its last bias, whatever the picture."""
    shape = (64, 64, 3)
    work = workload.build("googlenet", 2, shape=shape)
    momenta = [m.momentum for m in work.model.modules() if isinstance(m, fc.nn.BatchNorm2d)]
    differences = []
    for _ in range(2):
        first, second = work.infer().numpy()
        differences.append(np.linalg.norm(first - second) / np.linalg.norm(first))
        workload.take_statistics(work.model, shape)
    assert differences[0] < 1e-6 and differences[1] > 0.1
    norms = [m for m in work.model.modules() if isinstance(m, fc.nn.BatchNorm2d)]
    assert [m.momentum for m in norms] == momenta


def test_small_pictures_leave_more_than_a_pixel():
    found = {n: workload.small_shape(n) for n in ("lenet5", "squeezenet1_1", "inception_v3")}
    assert found == {
        "lenet5": (32, 32, 1), "squeezenet1_1": (64, 64, 3), "inception_v3": (128, 128, 3)
    }  # fmt: skip


def test_steps_tell_their_modules_the_mode_only_where_it_changes(monkeypatch):
    work = workload.build("lenet5", 2)
    told, real = [], work.model.train
    monkeypatch.setattr(work.model, "train", lambda mode=True: (told.append(mode), real(mode)))
    for mode in ("inference", "inference", "training", "training", "inference"):
        work.step(mode)()
    assert told == [False, True, False] and not work.model.training


def test_a_wrong_kernel_is_found_before_anything_is_timed(monkeypatch):
    table = select.table_for([])
    right = table.activation_fwd

    def wrong(x, y, act):
        right(x, y, act)
        y *= np.float32(1.001)

    if table is reference:
        pytest.skip("without the native module both sides are the reference")
    compare("lenet5", "float32", training=True)
    monkeypatch.setattr(table, "activation_fwd", wrong)
    with pytest.raises(MismatchError, match="nothing was timed"):
        compare("lenet5", "float32", training=True)


def test_a_failing_network_is_reported_and_the_rest_goes_on(tmp_path, monkeypatch, capsys):
    real = fc.models.create_model

    def broken(name, **options):
        if name == "alexnet":
            raise RuntimeError("out of order")
        return real(name, **options)

    monkeypatch.setattr(fc.models, "create_model", broken)
    options = Options(("alexnet", "lenet5"), batch=1, repeats=1, folder=tmp_path)
    report, _ = run(options)
    assert report.failures == {"alexnet": "RuntimeError: out of order"}
    assert [r.name for r in report.results] == ["lenet5"]
    assert "FAILED alexnet" in capsys.readouterr().out


def test_sides_are_interleaved():
    order = []

    def side(name):
        order.append(name)
        sleep(timing.BURST)

    sides = {name: partial(side, name) for name in "ab"}
    timings = time_interleaved(sides, 3)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert all(len(t.rounds) == 3 for t in timings.values())


def test_short_steps_run_in_bursts():
    runs = []
    found = time_interleaved({"short": lambda: runs.append(sleep(timing.BURST / 10))}, 2)["short"]
    assert 8 <= len(runs) <= 2 + 2 * 10
    assert timing.BURST / 10 <= found.median < timing.BURST


def test_disturbed_rounds_are_measured_again():
    work = iter([1, 1, 1, 3, 3, 3, 1, 1, 1, 1, 1, 1])  # milliseconds of the gauge, after its start
    start = [0.001] * 20
    gauge = timing.Gauge(lambda: sleep(start.pop() if start else next(work, 1) / 1000))
    sides = {"only": lambda: sleep(timing.BURST)}
    found, gauged = timing.time_undisturbed(sides, 2, gauge)
    assert len(found["only"].rounds) == len(gauged.rounds) == 2
    assert max(gauged.rounds) < 0.0025  # the round beside 3 ms is not among them


def test_patterns_choose_models():
    assert chosen_models(Options(("resnet1*_v1",))) == ["resnet101_v1", "resnet152_v1"]
    assert chosen_models(Options(all=True)) == fc.models.list_models()
    with pytest.raises(fc.errors.UnknownModelError, match="resnet50"):
        chosen_models(Options(("resnet55",)))


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_peak_memory_is_predicted_from_the_trace(mode):
    if not select.NATIVE_BUILT:
        pytest.skip("only the native allocator measures its peak")
    for name in ("lenet5", "resnet18"):
        predicted = count(name, 2, "float32", (mode,)).predicted_peak[mode]
        measured = measure_peak(name, 2, "float32", mode)
        assert measured == pytest.approx(predicted, rel=0.03), name


def test_garbage_that_goes_meanwhile_does_not_lower_a_peak():
    if not select.NATIVE_BUILT:
        pytest.skip("only the native allocator measures its peak")
    mebibyte = 1 << 20
    cycle = [select.cpu.empty((8 * mebibyte,), "uint8")]
    cycle.append(cycle)
    del cycle

    def run():
        gc.collect()
        return select.cpu.empty((4 * mebibyte,), "uint8")

    assert CPU.peak(lambda: run) == 4 * mebibyte


def test_distinct_layers_come_from_the_networks():
    layers = distinct_layers(["resnet18", "resnet34"], 2)
    assert sum(n["resnet18"] for n in layers.values()) == 20
    macs = sum(p.macs * n["resnet18"] for p, n in layers.items())
    assert macs + 2 * 512_000 == 2 * fc.models.model_info("resnet18").macs
    smallest = {p: n for p, n in layers.items() if p.h == 7 and p.r == 3}
    (result, *_) = measure_layers(smallest, repeats=2, directions=("fwd",))
    assert result.networks == ("resnet18", "resnet34") and result.rate("fastconv") > 1e8


def test_an_interrupt_that_python_swallowed_is_raised_again():
    class Swallows:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible() as interrupt:
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")
            patch.setattr(sys, "unraisablehook", lambda _: None)
            Swallows()
        interrupt.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_dropout_masks_do_not_depend_on_whether_weights_were_drawn():
    workload._weights.clear()
    workload.build("lenet5", 1)  # draws them
    drawn = random_state()
    workload.build("lenet5", 1)  # loads them
    assert random_state() == drawn


def test_layer_report_survives_its_own_json():
    layers = distinct_layers(["lenet5"], 2)
    measured = list(measure_layers(layers, repeats=2, directions=("fwd", "wgrad")))
    again = [result_from(json.loads(json.dumps(asdict(r)))) for r in measured]
    machine = describe()
    text = report(again, machine)
    assert text == report(measured, machine)
    rows = [line for line in text.splitlines() if "5x5/1" in line]
    assert len(rows) == 4 and all(r.bound(machine.copy_bandwidth) > 0 for r in again)


def test_layers_of_the_networks_fill_the_classes_of_the_report():
    layers = distinct_layers(["mobilenet_v2", "resnext50_32x4d"], 8)
    assert sum(p.groups == p.c for p in layers) >= 10
    assert {p.c // p.groups for p in layers if 1 < p.groups < p.c} == {4, 8, 16, 32}
