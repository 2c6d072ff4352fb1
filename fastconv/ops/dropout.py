"""Dropout (Srivastava et al. 2014), u uniform in [0, 1).

    y[i] = x[i] / (1-p) if u(i // group) >= p else 0

The mask is never stored: (seed, offset) name the stream of Philox that makes it again for the
gradient, on every backend the same. group elements share one draw.
"""

from fastconv.core import Op, Spec, function, next_stream
from fastconv.ops.arguments import float_dtype, probability


class Dropout(Op):
    p: float
    seed: int
    offset: int
    group: int = 1

    def infer(self, x):
        return (Spec(x.shape, float_dtype("dropout", x=x)),), ()

    def forward(self, K, out, aux, x):
        K.dropout(x, out[0], self.p, self.seed, self.offset, self.group)

    def backward(self, K, gy):
        gx = K.empty(gy.shape, gy.dtype)
        K.dropout(gy, gx, self.p, self.seed, self.offset, self.group)
        return (gx,)


@function
def dropout(x, p=0.5, training=True):
    """Zero each element with probability p, scale the rest by 1/(1-p); x itself if not training."""
    p = probability(p, "dropout: p")
    return Dropout(p, *next_stream())(x) if training and p else x
