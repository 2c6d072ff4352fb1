"""Where a benchmark runs: the CPU, a GPU, or a GPU's kernels in the emulator."""

import gc
from contextlib import AbstractContextManager, nullcontext

from fastconv.backend import memory_stats, parse_device, reset_peak_memory, select, use_backend
from fastconv.bench import gpu
from fastconv.bench.clock import EventClock, HostClock
from fastconv.bench.machine import Machine, describe, host_facts


class Place:
    """What the measuring code asks of where it runs; the names below, and clock."""

    device = "cpu"  # of tensors
    arrays = "NumPy"  # what the reference computes on
    dtypes = ("float32",)
    counted: tuple[str, ...] = ()  # sides whose memory peak() sees
    memory = "memory: not measured"
    notes: tuple[str, ...] = ()

    def active(self) -> AbstractContextManager:
        """Inside, ops on tensors of `device` run here."""
        return nullcontext()

    def meta(self) -> AbstractContextManager:
        """Inside, meta traces ask this place's kernel table for its workspaces."""
        return nullcontext()

    def describe(self) -> Machine:
        """Look it up and measure its peaks."""
        return describe()

    def peak(self, prepare) -> int:
        """Bytes of arrays alive at most during run(), run = prepare(), with those that prepare()
        left."""
        raise NotImplementedError(f"{type(self).__name__}.peak")

    def release(self) -> None:
        """Give back memory that is kept for the next array."""

    def method(self) -> list[str]:
        """How it is measured, for the report."""
        return [
            f"reference: the same network on {self.arrays} (im2col and one BLAS product per group),"
            " same weights, answers compared with float64 first; sides interleaved, medians",
            f"{self.clock.HOW}; {self.memory}",
            *self.notes,
        ]


class Cpu(Place):
    """fastconv's CPU kernels and the reference on NumPy."""

    dtypes = ("float32", "float64")
    counted = ("fastconv",) if select.NATIVE_BUILT else ()
    memory = "memory: of fastconv, by its allocator" if counted else Place.memory
    clock = HostClock()

    def peak(self, prepare):
        gc.collect()  # what nobody holds any more must not be freed meanwhile
        before = memory_stats()["live_bytes"]
        run = prepare()
        reset_peak_memory()
        run()
        return memory_stats()["peak_bytes"] - before


CPU = Cpu()


class Emulator(Place):
    """The CUDA kernels in the emulator, for tests: the way through them, not their speed."""

    clock = HostClock()
    notes = ("EMULATED: the times of fastconv are the emulator's and say nothing about a GPU",)

    def active(self):
        return use_backend("emulator")


class Cuda(Place):
    """fastconv's CUDA kernels and the reference on CuPy, on one GPU."""

    arrays = "CuPy"
    counted = ("fastconv", "reference")
    memory = (
        "memory: fastconv and reference as CuPy's pool hands it out (counted by a hook), torch by"
        " max_memory_allocated"
    )

    def __init__(self, device: str):
        self.device = device
        self._cupy, self._index = select.cuda_table().xp, int(device.partition(":")[2])
        self._gpu = gpu.look_at(self._cupy, self._index)
        with self.active():
            self.clock = EventClock(self._cupy, self._gpu.l2_bytes)

    def active(self):
        return self._cupy.cuda.Device(self._index)

    def meta(self):
        return select.use_table(select.cuda_table())

    def describe(self):
        peak, how = self._gpu.fma_peak()
        return Machine(
            **host_facts(),
            fma_peak=peak,
            fma_peak_how=how,
            copy_bandwidth=gpu.copy_bandwidth(self._cupy, self.clock),
            gpu=self._gpu,
        )

    def peak(self, prepare):
        gc.collect()  # what died before shall not be counted as freed inside
        return gpu.pool_peak(self._cupy, prepare)

    def release(self):
        gc.collect()
        self._cupy.get_default_memory_pool().free_all_blocks()


def place_of(device: str) -> Place:
    """The place of --device; ArgumentError for nonsense, DeviceError if it is not there."""
    if device == "emulator":
        return Emulator()
    device = parse_device(device)
    return CPU if device == "cpu" else Cuda(device)
