"""The benchmark elsewhere than on the CPU: clocks, facts of a GPU, refusals. No GPU is needed."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastconv import bench
from fastconv.backend import select
from fastconv.bench import Options, run, timing
from fastconv.bench.clock import FLUSHED, EventClock
from fastconv.bench.gpu import Gpu, look_at, pool_peak
from fastconv.errors import ArgumentError, DeviceError
from tests.fake_cupy import FakeCupy

L2 = 1000
BENCH = Path(bench.__file__).parent


class Recorder:
    """As much of CuPy as a clock uses; writes down what is called. A step takes 20 ms."""

    def __init__(self):
        self.calls, self.now = [], 0.0
        self.cuda = SimpleNamespace(
            Event=lambda: Happening(self), get_elapsed_time=lambda start, stop: stop.at - start.at
        )

    def empty(self, size, dtype):
        write = lambda value, count: self.calls.append(f"write {count}")  # noqa: E731
        return SimpleNamespace(nbytes=size, data=SimpleNamespace(memset_async=write))

    def step(self):
        self.calls.append("step")
        self.now += 20.0


class Happening:
    def __init__(self, device):
        self.device = device

    def record(self):
        self.device.calls.append("record")
        self.at = self.device.now

    def synchronize(self):
        self.device.calls.append("wait")


# ---- clocks


def test_events_enclose_each_step_after_the_cache_was_written_over():
    cupy = Recorder()
    clock = EventClock(cupy, L2)
    assert clock.seconds(cupy.step, 2) == pytest.approx(0.020)
    assert cupy.calls == 2 * [f"write {FLUSHED * L2}", "record", "step", "record", "wait"]


def test_rounds_on_a_gpu_are_interleaved_after_a_warm_up():
    order = []

    class Clock:
        WARM_UPS = 2

        def seconds(self, run, times=1):
            order.append(times)
            run()
            return timing.BURST / 4

        def settle(self):
            order.append("|")

    sides = {name: lambda name=name: order.append(name) for name in "ab"}
    found = timing.time_interleaved(sides, 2, clock=Clock())
    warm = ["a", "a", 1, "a", 1, "a", "b", "b", 1, "b", 1, "b"]  # then two that count the burst
    assert order == [*warm, "|", 4, "a", "|", 4, "b", "|", 4, "b", "|", 4, "a"]
    assert found["a"].rounds == found["b"].rounds == 2 * [timing.BURST / 4]


def test_every_name_of_cupy_that_is_used_exists():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    files = [BENCH / f"{name}.py" for name in ("clock", "gpu", "place", "torch_peer")]
    source = "".join(path.read_text() for path in files)
    names = set(re.findall(r"(?:\bcupy|\b_cupy|\bxp)\.([a-z][\w.]*)", source))
    names |= {f"cuda.runtime.{name}" for name in re.findall(r"\bruntime\.(\w+)", source)}
    assert {"cuda.Event", "cuda.MemoryHook", "cuda.runtime.cudaDevAttrClockRate"} <= names
    methods = {"cuda.Event.record", "cuda.Event.synchronize", "cuda.MemoryPointer.memset_async"}
    methods |= {
        "cuda.MemoryPool.free_all_blocks",
        "cuda.Device.__enter__",
        "cuda.Device.compute_capability",
    }
    methods |= {f"cuda.MemoryHook.{name}_postprocess" for name in ("malloc", "free")}
    for name in names | methods:
        value = cupy
        for part in name.split("."):
            assert hasattr(value, part), f"cupy has no {name}"
            value = getattr(value, part)


# ---- a GPU's facts


def test_the_peak_of_a_gpu_is_derived_and_says_so():
    gpu = look_at(FakeCupy(), 0)
    assert gpu == Gpu("Fake GPU", 90, 132, 1.98e9, 1 << 30, 1 << 20, "13.0", "13.2", "fake")
    peak, how = gpu.fma_peak()
    assert peak == 132 * 128 * 2 * 1.98e9 and how.startswith("derived, not measured: 132")
    assert "132 multiprocessors, up to 1.980 GHz" in str(gpu) and "L2 1.0 MB" in str(gpu)
    gpu.capability = 80
    assert gpu.fma_peak()[0] == peak / 2


def test_the_peak_of_the_pool_is_what_was_alive_at_once():
    cupy = FakeCupy()
    kept = [cupy.empty(1000, "uint8")]  # 1,024 bytes of the pool, before the counting

    def prepare():
        cupy.empty(9000, "uint8")  # dies before the step
        kept.append(cupy.empty(100, "uint8"))  # 512 that stay
        return step

    def step():
        for _ in range(3):
            cupy.empty(5000, "uint8")  # dies at once: 5,120
        kept.append(cupy.empty(100, "uint8"))
        cupy.empty(600, "uint8")  # 1,024

    assert pool_peak(cupy, prepare) == 512 + 5120
    assert pool_peak(cupy, lambda: lambda: kept.append(cupy.empty(1, "uint8"))) == 512


# ---- refusals


def test_without_a_gpu_the_reason_is_given_and_nothing_is_written(tmp_path, monkeypatch):
    why = "there is no NVIDIA driver"
    monkeypatch.setattr(select, "find_gpus", lambda: ([], why))
    with pytest.raises(DeviceError, match=why):
        run(Options(("lenet5",), device="cuda:1", folder=tmp_path))
    monkeypatch.setattr(select, "find_gpus", lambda: ([{"name": "one"}], None))
    with pytest.raises(DeviceError, match="has 1 GPUs"):
        run(Options(("lenet5",), device="cuda:1", folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_cuda_kernels_are_measured_in_float32(tmp_path):
    if "emulator" not in select.backends():
        pytest.skip("fastconv._emulator is not built")
    with pytest.raises(ArgumentError, match="float32 only, got 'float64'"):
        run(Options(device="emulator", dtype="float64", folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
