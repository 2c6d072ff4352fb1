"""What a GPU is and what it can do at best, asked through CuPy."""

from dataclasses import dataclass

from fastconv.backend.gpu import cuda_version

COPY_BYTES = 1 << 29  # per array: far larger than any L2 cache
# float32 multiply-adds per cycle and multiprocessor, where they are not 128: CUDA programming
# guide, throughput of arithmetic instructions
LANES = {75: 64, 80: 64}


@dataclass
class Gpu:
    """One device, as the runtime describes it."""

    name: str
    capability: int  # 90 for 9.0
    multiprocessors: int
    clock: float  # Hz, the highest
    memory_bytes: int
    l2_bytes: int
    driver: str  # the latest CUDA that it knows
    runtime: str  # CuPy's CUDA
    cupy: str

    def fma_peak(self) -> tuple[float, str]:
        """(float32 FLOP/s, how it was found): derived, nothing is run."""
        lanes = LANES.get(self.capability, 128)
        how = (
            f"derived, not measured: {self.multiprocessors} multiprocessors x {lanes} lanes x 2 x"
            f" {self.clock / 1e9:.3f} GHz"
        )
        return self.multiprocessors * lanes * 2 * self.clock, how

    def __str__(self):
        return (
            f"{self.name} (compute capability {self.capability / 10}), {self.multiprocessors}"
            f" multiprocessors, up to {self.clock / 1e9:.3f} GHz, {self.memory_bytes / 1e9:.1f} GB,"
            f" L2 {self.l2_bytes / 1e6:.1f} MB; driver for CUDA {self.driver}, CUDA {self.runtime},"
            f" CuPy {self.cupy}"
        )


def look_at(cupy, index: int) -> Gpu:
    """The GPU of that number."""
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(index)
    # attributes: the properties of CUDA 13 have no clock any more
    multiprocessors, kilohertz, l2_bytes = (
        runtime.deviceGetAttribute(attribute, index)
        for attribute in (
            runtime.cudaDevAttrMultiProcessorCount,
            runtime.cudaDevAttrClockRate,
            runtime.cudaDevAttrL2CacheSize,
        )
    )
    return Gpu(
        name=properties["name"].decode(),
        capability=int(cupy.cuda.Device(index).compute_capability),  # "90"
        multiprocessors=multiprocessors,
        clock=1e3 * kilohertz,
        memory_bytes=properties["totalGlobalMem"],
        l2_bytes=l2_bytes,
        driver=cuda_version(runtime.driverGetVersion()),
        runtime=cuda_version(runtime.runtimeGetVersion()),
        cupy=cupy.__version__,
    )


def copy_bandwidth(cupy, clock) -> float:
    """Bytes per second, read + write, of a copy on the current device, best of 7."""
    source, target = (cupy.zeros(COPY_BYTES, "uint8") for _ in range(2))
    seconds = [clock.seconds(lambda: cupy.copyto(target, source)) for _ in range(7)]
    return 2 * COPY_BYTES / min(seconds)


def pool_peak(cupy, prepare) -> int:
    """Bytes from CuPy's pool (rounded up as the pool does) that were in use at most during run(),
    run = prepare(), with what prepare() left alive: every array that is made and freed is counted,
    the memory that the pool itself keeps is not."""

    class Counter(cupy.cuda.MemoryHook):
        name = "fastconv bench"
        live = peak = 0

        def malloc_postprocess(self, **facts):
            self.live += facts["mem_size"]
            self.peak = max(self.peak, self.live)

        def free_postprocess(self, **facts):
            self.live -= facts["mem_size"]

    with Counter() as counter:
        run = prepare()
        counter.peak = counter.live  # moving arrays here takes copies that no step needs
        run()
    return counter.peak
