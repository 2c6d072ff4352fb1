"""What this machine is and what its CPU can do at best: versions, FMA peak, copy bandwidth."""

import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from fastconv.backend import select
from fastconv.bench.gpu import Gpu
from fastconv.version import __version__

if select.NATIVE_BUILT:
    from fastconv import _cpu


@dataclass
class Machine:
    """Where a result was measured: the CPU on `threads` threads, or the GPU; peaks are of what was
    used."""

    processor: str
    system: str
    python: str
    numpy: str
    fastconv: str
    commit: str
    isa: str
    threads: int
    fma_peak: float  # FLOP/s in float32
    fma_peak_how: str
    copy_bandwidth: float  # bytes/s, read + write; the best of several copies
    gpu: Gpu | None = None

    def as_dict(self) -> dict:
        return asdict(self)


def describe() -> Machine:
    """Look the machine up and measure its CPU's peaks (about a second)."""
    peak, how = fma_peak()
    return Machine(**host_facts(), fma_peak=peak, fma_peak_how=how, copy_bandwidth=copy_bandwidth())


def host_facts() -> dict:
    """A Machine's fields but the peaks."""
    return {
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "fastconv": __version__,
        "commit": commit(),
        "isa": isa(),
        "threads": thread_count(),
    }


def thread_count() -> int:
    """Threads that fastconv's kernels use (NumPy's BLAS takes all cores it may use)."""
    if select.NATIVE_BUILT:
        return select.cpu.num_threads()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def isa() -> str:
    """Instruction set that the CPU kernels run with here."""
    return select.cpu.isa() if select.NATIVE_BUILT else "none (NumPy reference)"


def processor_name() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """Commit of the working tree that fastconv is imported from, or "release" outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "release"
    out = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return out.stdout.strip() or "unknown"


def fma_run() -> tuple[Callable[[], object], float, str]:
    """(what keeps the multiply-add units of all threads busy for some milliseconds, its float32
    FLOP, its name)."""
    if select.NATIVE_BUILT:
        rounds = 1 << 13
        return lambda: _cpu.run_fma(rounds), _cpu.run_fma(rounds), "multiply-adds on registers"
    # without kernels of our own the best matrix product of NumPy's BLAS stands for it
    n = 1536
    a, b, c = (np.ones((n, n), np.float32) for _ in range(3))
    return lambda: np.matmul(a, b, out=c), 2 * n**3, "NumPy matmul 1536"


def fma_peak() -> tuple[float, str]:
    """(float32 FLOP/s on all threads, how that was measured), best of 7."""
    run, flops, how = fma_run()
    return flops / _best(run), f"{how}, measured now"


def copy_bandwidth() -> float:
    """Bytes per second, read + write, of a copy far larger than the caches, best of 7."""
    source, target = (np.ones(1 << 28, np.uint8) for _ in range(2))
    if select.NATIVE_BUILT:
        return 2 * source.size / _best(lambda: _cpu.copy(source, target))
    return 2 * source.size / _best(lambda: np.copyto(target, source))


def _best(run) -> float:
    seconds = []
    for _ in range(7):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds)
