"""One algorithm for a convolution, as `conv2d_candidates` of a kernel table tells it."""

from typing import NamedTuple

__all__ = ["Candidate"]


class Candidate(NamedTuple):
    """cycles: what the cost model says, of one core (CPU) or of the device; None where it has no
    figure, as the choice does not need one. arithmetic, memory: its two parts, which overlap.
    refused: why it is not chosen whatever it costs, or "". seconds: of one pass, where it was
    measured, on the processor `where`."""

    name: str
    cycles: float | None = None
    arithmetic: float | None = None
    memory: float | None = None
    refused: str = ""
    seconds: float | None = None
    where: str = ""
