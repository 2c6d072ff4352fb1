"""What a step's time is read from: the host's clock, or events on a GPU."""

from time import perf_counter, sleep

# threads of the side before (OpenMP, BLAS) spin for a while and would take a core from the next
# side: they are left to fall asleep
PAUSE = 0.2  # seconds
# of the L2 cache: enough to drive everything else out, and to keep the device busy while the host
# launches the first kernels of a step
FLUSHED = 8


class HostClock:
    """For steps that are done when the call returns."""

    HOW = "time: the host's clock"
    WARM_UPS = 0  # the first runs, which say how many make a round, are enough

    def seconds(self, run, times: int = 1) -> float:
        """Of one run: the mean of `times` in a row."""
        start = perf_counter()
        for _ in range(times):
            run()
        return (perf_counter() - start) / times

    def settle(self) -> None:
        """Between two sides."""
        sleep(PAUSE)


class EventClock:
    """CUDA events on CuPy's current stream around each run; before it the L2 cache is written over,
    so that every run finds its arrays in memory.

    cupy: the module; the events and the buffer are of the current device.
    """

    HOW = "time: CUDA events around each step, the L2 cache written over before it"
    WARM_UPS = 3  # kernels are compiled and chosen, memory is taken, clocks rise

    def __init__(self, cupy, l2_bytes: int):
        self._elapsed = cupy.cuda.get_elapsed_time
        self._start, self._stop = cupy.cuda.Event(), cupy.cuda.Event()
        self._cache = cupy.empty(FLUSHED * l2_bytes, "uint8")

    def seconds(self, run, times: int = 1) -> float:
        """Of one run on the device: the mean of `times`."""
        return sum(self._once(run) for _ in range(times)) / times

    def _once(self, run):
        self._cache.data.memset_async(0, self._cache.nbytes)
        self._start.record()
        run()
        self._stop.record()
        self._stop.synchronize()
        return self._elapsed(self._start, self._stop) / 1e3  # it counts milliseconds

    def settle(self) -> None:
        """Nothing: every run ends with the device at rest."""
