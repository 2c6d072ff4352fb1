"""The tool for GPU machines (tools/gpu_check.py), where there is none: reduced, in the emulator."""

import json

import numpy as np
import pytest

from fastconv.backend.select import backends, devices

if not {"emulator", "cpu"} <= set(backends()):
    pytest.skip("fastconv._emulator or _cpu is not built", allow_module_level=True)

from fastconv.backend.cuda import DeviceTable
from fastconv.backend.emulator import emulator_table
from tests.native.kernel_cases import CASES
from tools import gpu_check
from tools.gpu import correctness, layers, sanitize
from tools.gpu.device import Emulated, OnDevice
from tools.gpu.store import Store, run_items

TABLE = emulator_table()

REDUCED = ["--reduced", "--backend", "emulator", "--out"]


def read(folder, stage):
    return json.loads((folder / f"{stage}.json").read_text())


class Wrong(DeviceTable):
    """Adds and convolves a little wrongly."""

    def __init__(self):
        super().__init__("wrong", TABLE.extension, np, TABLE._stream)

    def add(self, a, b, y, act):
        super().add(a, b, y, act)
        y.reshape(-1)[-1] += 1

    def conv2d_fwd(self, x, w, y, *rest, **named):
        super().conv2d_fwd(x, w, y, *rest, **named)
        y.reshape(-1)[0] += 1


# ---- the whole command


def test_all_reduced_stages_pass_and_a_second_run_repeats_nothing(tmp_path, capfd):
    assert gpu_check.main([*REDUCED, str(tmp_path)]) == 0
    assert "failed: reference 0, kernels 0, layers 0" in capfd.readouterr().out
    for stage in gpu_check.REDUCED:
        content = read(tmp_path, stage)
        assert content["finished"] and len(content["items"]) >= 6
        assert all(item["ok"] for item in content["items"].values())
    before = {stage: (tmp_path / f"{stage}.json").read_text() for stage in gpu_check.REDUCED}
    assert gpu_check.main([*REDUCED, str(tmp_path)]) == 0
    assert before == {s: (tmp_path / f"{s}.json").read_text() for s in gpu_check.REDUCED}


def test_results_of_an_earlier_run_are_taken_from_where_they_were_kept(tmp_path, capfd):
    kept, fresh = tmp_path / "kept", tmp_path / "fresh"
    arguments = ["--stage", "layers", "--resume", str(kept)]
    assert gpu_check.main([*REDUCED, str(kept), *arguments]) == 0
    assert gpu_check.main([*REDUCED, str(fresh), *arguments]) == 0
    assert (kept / "layers.json").read_text() == (fresh / "layers.json").read_text()


def test_without_a_gpu_the_reason_is_recorded(tmp_path, capfd):
    if len(devices()) > 1:
        pytest.skip("there is a GPU")
    arguments = ["--reduced", "--stage", "kernels", "--out", str(tmp_path)]
    assert gpu_check.main(arguments) == 1
    assert not read(tmp_path, "kernels")["items"]["start"]["ok"]
    assert "FAILED start" in capfd.readouterr().out


def test_an_item_that_killed_its_process_is_recorded_and_the_rest_runs(tmp_path, capfd):
    store = Store(tmp_path, "kernels")
    store.content["running"] = "softmax-1-False"
    store.write()
    arguments = [*REDUCED, str(tmp_path), "--stage", "kernels"]
    assert gpu_check.main(arguments) == 1
    items = read(tmp_path, "kernels")["items"]
    assert [name for name, item in items.items() if not item["ok"]] == ["softmax-1-False"]
    assert len(items) > 6
    assert gpu_check.main([*arguments, "--again"]) == 0
    assert read(tmp_path, "kernels")["items"]["softmax-1-False"]["ok"]


def test_the_suite_of_the_sanitizers_runs():
    sanitize.run_suite(Emulated(), "convolutions", cases=0)
    sanitize.run_suite(Emulated(), "layers", cases=2)


# ---- what it finds


def test_a_wrong_kernel_is_found():
    K = OnDevice(Wrong(), np)
    assert "error of" in correctness._compare(CASES["add-relu"], K, bitwise_again=True)
    assert correctness._compare(CASES["add-relu"], OnDevice(TABLE, np), bitwise_again=True) is None
    p = correctness.PROBLEMS[0]
    found = correctness._rules(p, 0, K, (np.float32,))
    assert "fwd implicit float32: 1 integers" in found["error"]
    assert "dgrad" not in found["error"]


def test_results_that_change_from_run_to_run_are_found():
    class Restless(DeviceTable):
        runs = 0

        def add(self, a, b, y, act):
            super().add(a, b, y, act)
            Restless.runs += 1
            y.reshape(-1)[np.argmax(y)] *= np.float32(1 + 1.2e-7 * Restless.runs)

    K = OnDevice(Restless("restless", TABLE.extension, np, TABLE._stream), np)
    assert "other bits" in correctness._compare(CASES["add-relu"], K, bitwise_again=True)


def test_a_layer_that_differs_from_the_reference_is_found():
    device = Emulated()
    device.table = Wrong()
    facts = layers.measure(device, layers.TINY[0], "fwd")
    assert "ours implicit: differs from the reference" in facts["error"]
    assert "error" not in facts["sides"]["reference"]
    assert layers.measure(device, layers.TINY[0], "wgrad")["error"] is None


# ---- its parts


def test_arrays_are_copied_there_and_back_once():
    seen = []

    class Table:
        NAME = "fake"

        def twice(self, a, out, several, b=None):
            seen.append((a, out, several, b))
            out += 2 * a

    x, y, frozen = np.ones(3), np.zeros(3), np.ones(2)
    frozen.flags.writeable = False
    K = OnDevice(Table(), np)
    K.twice(x, y, [y, (frozen, 5)], b=x)
    a, out, (again, (locked, five)), b = seen[0]
    assert out is again and a is b and a is not x and locked is not frozen and five == 5
    np.testing.assert_array_equal(y, [2, 2, 2])
    assert K.NAME == "fake"


def test_a_failing_item_does_not_stop_the_rest(tmp_path):
    def fail():
        raise ValueError("no")

    quiet = lambda *_, **__: None  # noqa: E731
    work = [("a", dict), ("b", fail), ("c", lambda: {"error": "wrong"}), ("d", lambda: {"n": 1})]
    store = Store(tmp_path, "stage")
    assert run_items(store, work, 60, say=quiet) == "finished"
    kept = Store(tmp_path, "stage")
    assert kept.failed(kept.items) == ["b", "c"] and kept.items["d"]["n"] == 1
    assert kept.items["b"]["error"].startswith("ValueError: no")
    again = Store(tmp_path, "stage", again=True)
    assert set(again.items) == {"a", "d"} and not again.content["finished"]


def test_time_and_a_broken_device_end_a_run_that_can_be_taken_up(tmp_path):
    store, ran = Store(tmp_path, "stage"), []
    work = [(name, lambda name=name: ran.append(name)) for name in "abc"]
    assert run_items(store, work, 60, healthy=lambda: False) == "broken"
    assert run_items(Store(tmp_path, "stage"), work, -1) == "late"
    assert run_items(Store(tmp_path, "stage"), work, 60) == "finished"
    assert ran == ["a", "b", "c"]


def test_results_of_other_sources_are_not_taken_up(tmp_path):
    store = Store(tmp_path, "stage")
    store.record("a")
    assert "a" in Store(tmp_path, "stage").items
    store.content["source"] = "older"
    store.write()
    assert not Store(tmp_path, "stage").items


def test_layers_are_those_of_all_five_networks_and_named_uniquely():
    rows = layers.problems(reduced=False)
    assert {network for _, network, _ in rows} == set(layers.NETWORKS)
    assert rows[0][1] == "resnet50"
    names = [name for name, _ in layers.items(Emulated(), reduced=False)]
    assert len(names) == len(set(names)) == 3 * len(rows)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_verdict_of_a_sanitizer(tmp_path):
    good = script(tmp_path / "good", "echo '========= ERROR SUMMARY: 0 errors'")
    assert sanitize._call(good, "memcheck", "layers", 10) == {"summary": "ERROR SUMMARY: 0 errors"}
    bad = script(tmp_path / "bad", "echo '========= ERROR SUMMARY: 2 errors'; exit 77")
    assert "memcheck ended with 77" in sanitize._call(bad, "memcheck", "layers", 10)["error"]
    silent = script(tmp_path / "silent", "exit 0")  # it never ran
    assert "error" in sanitize._call(silent, "racecheck", "layers", 10)
    slow = script(tmp_path / "slow", "sleep 30 & wait")
    assert "not done in time" in sanitize._call(slow, "initcheck", "layers", 1)["error"]
