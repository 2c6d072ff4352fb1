"""fastconv.functional: every public function of fastconv/ops, on Tensors or plain arrays."""

from fastconv import ops  # noqa: F401  (importing the ops publishes their functions)
from fastconv.core import FUNCTIONS

__all__ = sorted(FUNCTIONS)

globals().update(FUNCTIONS)
