"""Where kernels are run and timed: a GPU through CuPy, or the emulator through NumPy."""

import functools
import time
from contextlib import nullcontext
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median

import numpy as np

from fastconv.bench.clock import EventClock, HostClock
from fastconv.bench.gpu import look_at


class OnDevice:
    """A kernel table that is called with NumPy arrays: each call copies them to the array module
    xp, and all of them back."""

    def __init__(self, table, xp):
        self._table, self._xp = table, xp

    def __getattr__(self, name):
        function = getattr(self._table, name)
        return self._moving(function) if callable(function) else function

    def _moving(self, function):
        def call(*arguments, **named):
            moved = {}  # id -> (here, there): an array that is passed twice is one array
            result = function(
                *(self._there(a, moved) for a in arguments),
                **{name: self._there(a, moved) for name, a in named.items()},
            )
            for here, there in moved.values():
                if here.flags.writeable:
                    here[...] = there if self._xp is np else self._xp.asnumpy(there)
            return result

        return call

    def _there(self, a, moved):
        if isinstance(a, np.ndarray):
            if id(a) not in moved:
                moved[id(a)] = (a, self._xp.array(a, order="C"))
            return moved[id(a)][1]
        if isinstance(a, tuple | list):
            parts = [self._there(part, moved) for part in a]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
        return a


class Gpu:
    """The GPU that CuPy uses."""

    place = "cuda"  # for fastconv's and PyTorch's `to`

    def __init__(self):
        import cupy

        self.xp = cupy
        cupy.zeros(1).item()

    @functools.cached_property
    def table(self):
        from fastconv.backend.gpu import cuda_table, find_gpus

        _, reason = find_gpus()
        if reason:
            raise RuntimeError(reason)
        return cuda_table()

    def machine(self):
        packages = {name: version(name) for name in ("numpy", "torch") if find_spec(name)}
        return {"gpu": asdict(look_at(self.xp, 0)), **packages}

    def healthy(self):
        """Whether the context can still be used: after an illegal access it cannot."""
        try:
            self.synchronize()
        except Exception:  # CuPy's classes for the runtime's and the driver's errors differ
            return False
        return True

    def synchronize(self):
        self.xp.cuda.runtime.deviceSynchronize()

    def free(self):
        self.xp.get_default_memory_pool().free_all_blocks()

    def backend(self):
        """What ops on this device run on."""
        return nullcontext()

    def without_pool(self):
        """Each array an allocation of its own, so that a sanitizer sees where it ends."""
        self.xp.cuda.set_allocator(None)

    def memory(self):
        """Bytes that CuPy's pool holds."""
        return self.xp.get_default_memory_pool().total_bytes()

    @functools.cached_property
    def _clock(self):
        return EventClock(self.xp, look_at(self.xp, 0).l2_bytes)

    def time(self, run, budget=0.2, most=30):
        """Seconds of each run on the device, the L2 cache written over before each."""
        for _ in range(self._clock.WARM_UPS):
            run()
        self.synchronize()
        rounds, end = [], time.monotonic() + budget
        while len(rounds) < 5 or (len(rounds) < most and time.monotonic() < end):
            rounds.append(self._clock.seconds(run))
        return rounds


class Emulated:
    """The same kernels in the emulator: that they run, not how fast."""

    xp, place = np, "cpu"

    @functools.cached_property
    def table(self):
        from fastconv.backend.emulator import emulator_table

        return emulator_table()

    def machine(self):
        return {"gpu": "emulator"}

    def healthy(self):
        return True

    def synchronize(self):
        pass

    def free(self):
        pass

    def backend(self):
        from fastconv.backend import use_backend

        return use_backend("emulator")

    def without_pool(self):
        pass

    def memory(self):
        return 0

    def time(self, run):
        return [HostClock().seconds(run)]


def timing(rounds):
    """Facts of one side, in microseconds."""
    return {
        "us": round(1e6 * median(rounds), 3),
        "lowest_us": round(1e6 * min(rounds), 3),
        "rounds": len(rounds),
    }
