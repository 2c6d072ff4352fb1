"""Layer normalisation over the last axes. Ba et al. 2016.

y = (x - mean) / sqrt(var + eps) * gamma + beta        mean, biased var per position
"""

from math import prod

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import float_dtype
from fastconv.ops.batch_norm import statistics_dtype


class LayerNorm(Op):
    autocast = "float32"

    normalized_shape: tuple[int, ...]
    eps: float = 1e-5

    def infer(self, x, gamma, beta):
        dtype = float_dtype("layer_norm", x=x, gamma=gamma, beta=beta)
        shape = self.normalized_shape
        if not shape or x.shape[-len(shape) :] != shape:
            raise ShapeError(
                f"layer_norm: the last axes of x {x.shape} must be {shape}, what is normalised over"
            )
        for name, a in (("gamma", gamma), ("beta", beta)):
            if a is not None and a.shape != shape:
                raise ShapeError(f"layer_norm: {name} must have shape {shape}, got {a.shape}")
        self.rows, self.columns = prod(x.shape[: x.ndim - len(shape)]), prod(shape)
        statistic = Spec((self.rows,), statistics_dtype(dtype))
        return (Spec(x.shape, dtype),), (statistic, statistic)

    def saves(self, inputs, outputs, needs):
        x, gamma, _ = inputs
        return (x if needs[0] or needs[1] else None, gamma if needs[0] else None)

    def forward(self, K, out, aux, x, gamma, beta):
        x, y = (a.reshape(self.rows, self.columns) for a in (x, out[0]))
        K.layer_norm_fwd(x, _flat(gamma), _flat(beta), y, *aux, self.eps)

    def backward(self, K, gy):
        x, gamma = self.saved
        gx = ggamma = gbeta = None
        rows = (self.rows, self.columns)
        if self.needs[0] or self.needs[1]:
            if self.needs[0]:
                gx = K.empty(gy.shape, gy.dtype)
            if self.needs[1]:
                ggamma = K.empty(self.normalized_shape, gy.dtype)
            if self.needs[2]:
                gbeta = K.empty(self.normalized_shape, gy.dtype)
            K.layer_norm_bwd(
                *(gy.reshape(rows), x.reshape(rows), _flat(gamma), *self.aux),
                *(None if gx is None else gx.reshape(rows), _flat(ggamma), _flat(gbeta)),
            )
        elif self.needs[2]:
            gbeta = K.empty(self.normalized_shape, gy.dtype)
            K.channel_sum(gy.reshape(rows), gbeta.reshape(self.columns))
        return gx, ggamma, gbeta


def _flat(a):
    return None if a is None else a.reshape(a.size)


@function
def layer_norm(x, gamma=None, beta=None, eps=1e-5, normalized_shape=None):
    """Normalise x over its last axes, then times gamma plus beta, which have the shape of those
    axes; same shape as x.

    normalized_shape: those axes' sizes; None: the shape of gamma or beta, without them the last
    axis. Raises ShapeError, DTypeError, ArgumentError.
    """
    if not isinstance(eps, int | float) or not eps > 0:
        raise ArgumentError(f"layer_norm: eps must be a number above 0, got {eps!r}")
    if normalized_shape is None:
        like = gamma if gamma is not None else beta
        normalized_shape = x.shape[-1:] if like is None else like.shape
    elif isinstance(normalized_shape, int):
        normalized_shape = (normalized_shape,)
    return LayerNorm(tuple(normalized_shape), float(eps))(x, gamma, beta)
