"""Floor 4: pictures that come with the package, and how they become input of a network."""

from fastconv.data.samples import digit_batch, photograph_batch

__all__ = ["digit_batch", "photograph_batch"]
