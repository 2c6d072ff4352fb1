"""Every kernel of the table but convolution and matrix product: time and bytes per second.

These kernels do little arithmetic, so the floor of each is its traffic: the arrays that it has to
read and write (one that the formula needs twice counts twice), at the bandwidth of a copy that is
timed in the same rounds. Arrays that fit into the caches go over 100 per cent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from fastconv.backend import select, table_for
from fastconv.bench.kernel_cases import KERNELS
from fastconv.bench.timing import Timing, time_interleaved

COPY_BYTES = 1 << 27  # per array: far larger than the caches


@dataclass
class KernelResult:
    """One kernel on one shape; seconds per call of each side, and of the copy beside them."""

    name: str
    shape: tuple
    nbytes: int  # compulsory traffic
    times: dict[str, Timing]

    @property
    def bandwidth(self) -> float:
        """Bytes per second."""
        return self.nbytes / self.times["fastconv"].median

    @property
    def of_copy(self) -> float:
        """The bandwidth as a part of the copy's."""
        return self.bandwidth * self.times["copy"].median / (2 * COPY_BYTES)

    @property
    def torch_ratio(self) -> float | None:
        """PyTorch's time over ours."""
        if "torch" not in self.times:
            return None
        return self.times["torch"].median / self.times["fastconv"].median


def _arrays(kernel, shape):
    """The kernel's arrays: floats of a normal distribution, made by draw where it says how."""
    rng = np.random.default_rng(0)
    arrays = SimpleNamespace(shape=shape)
    for name, value in kernel.arrays(rng, shape).items():
        if type(value) is tuple:  # not a problem, which is one too
            drawn = rng.standard_normal(value, np.float32)
            value = table_for([drawn]).empty(value, np.float32)  # aligned, as in a network
            value[...] = drawn
        setattr(arrays, name, value)
    return arrays


def _bytes(value) -> int:
    return sum(a.nbytes for a in value) if isinstance(value, list) else value.nbytes


def _copy() -> Callable[[], object]:
    source, target = (np.ones(COPY_BYTES, np.uint8) for _ in range(2))
    if select.NATIVE_BUILT:
        return lambda: select.cpu._cpu.copy(source, target)
    return lambda: np.copyto(target, source)


def measure_kernels(names, repeats, peers=None):
    """Yields a KernelResult per kernel and shape.

    peers: kernel's name -> function that takes the arrays and returns PyTorch's call, or None.
    """
    copy = _copy()
    for name in names:
        kernel = KERNELS[name]
        for shape in kernel.shapes:
            a = _arrays(kernel, shape)
            K = table_for([np.zeros(1, np.float32)])
            kernel.prepare(K, a)
            nbytes = sum(_bytes(getattr(a, array)) for array in kernel.traffic.split())
            sides = {"fastconv": lambda a=a, run=kernel.run, K=K: run(K, a), "copy": copy}
            if peers and name in peers:
                sides["torch"] = peers[name](a)
            yield KernelResult(name, shape, nbytes, time_interleaved(sides, repeats))
