"""Stochastic depth: whole samples are zeroed with probability p. Huang et al. 2016.

y[n] = x[n] / (1-p) if u(n) >= p else 0: dropout whose draws are per sample
"""

from fastconv.core import function, next_stream
from fastconv.errors import ShapeError
from fastconv.ops.arguments import probability
from fastconv.ops.dropout import Dropout


@function
def drop_path(x, p=0.0, training=True):
    """Zero each x[n] with probability p, scale the others by 1/(1-p); x itself if not training."""
    p = probability(p, "drop_path: p")
    if x.ndim == 0:
        raise ShapeError("drop_path: x needs a batch axis, got a 0-d tensor")
    if not training or not p:
        return x
    return Dropout(p, *next_stream(), max(x.size // max(x.shape[0], 1), 1))(x)
