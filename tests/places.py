"""On which kernel tables tests run, and in which precision each of them computes."""

from fastconv.backend import backends

__all__ = ["EVERYWHERE", "IN_FLOAT64"]

EVERYWHERE = backends()
# the CUDA kernels, and with them their emulator, are float32 only
IN_FLOAT64 = [b for b in EVERYWHERE if b != "emulator"]
