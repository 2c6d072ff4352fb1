"""Batch normalisation. Ioffe and Szegedy 2015.

    y[..., c] = act((x[..., c] - mean[c]) / sqrt(var[c] + eps) * gamma[c] + beta[c])

Training: mean and biased variance over every axis but the last; the running ones move by momentum
towards mean and the unbiased variance, in place. Eval: mean and var are the running ones.
"""

from typing import Any, NamedTuple

import numpy as np

from fastconv.backend import IDENTITY, Activation
from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.ops.arguments import activation_named, float_dtype, nchw_hint


class Kept(NamedTuple):
    """What backward reads, beside aux; None where it does not."""

    x: Any = None
    gamma: Any = None
    beta: Any = None
    mean: Any = None
    y: Any = None


class BatchNorm(Op):
    autocast = "keep"  # the parameters stay float32 beside half-precision activations
    remembers = True

    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5
    act: Activation = IDENTITY

    def infer(self, x, gamma, beta, running_mean, running_var):
        if x.ndim < 2:
            raise ShapeError(f"batch_norm: x must have at least 2 axes (..., C), got {x.shape}")
        dtype = float_dtype("batch_norm", x=x)
        self.channels = c = x.shape[-1]
        parameters = {
            "gamma": gamma,
            "beta": beta,
            "running_mean": running_mean,
            "running_var": running_var,
        }
        check_channels("batch_norm", x, c, parameters, self.training)
        self.mutates = (3, 4) if self.training else ()
        statistic = Spec((c,), statistics_dtype(dtype))
        aux = (statistic, statistic) if self.training else (statistic,)
        return (Spec(x.shape, dtype),), aux

    def saves(self, inputs, outputs, needs):
        x, gamma, beta, mean, _ = inputs
        # the gradient of act is taken at its input, computed a second time
        again = self.act.at_x and self.act != IDENTITY
        return Kept(
            x if needs[1] or again or (needs[0] and self.training) else None,
            gamma if needs[0] or again or self.remakes() else None,
            beta if again or self.remakes() else None,
            mean if (needs[1] or again) and not self.training else None,
            None if self.act.at_x else outputs[0],
        )

    def remakes(self):
        kept = self.needs[0] or self.needs[1]  # x, unless that is made again itself
        return self.training and self.act.at_x and kept and not self.recipes

    def remake(self):
        (x, gamma, beta, _, _), (mean, rstd) = self.saved, self.aux
        y = self.K.empty(x.shape, x.dtype)
        self.K.batch_norm_apply(x, mean, rstd, gamma, beta, None, y, self.act)
        return y

    def workspace(self, K, direction):
        return sums_bytes(self.channels) if direction == "forward" and self.training else 0

    def forward(self, K, out, aux, x, gamma, beta, running_mean, running_var):
        if self.training:
            mean, rstd = aux
            sums = K.empty((2, self.channels), "float64")
            K.channel_stats(x, sums)
            K.batch_norm_prepare(
                *(sums, x.size // max(1, self.channels), mean, rstd),
                *(running_mean, running_var, self.momentum, self.eps),
            )
        else:
            mean, (rstd,) = running_mean, aux
            K.batch_norm_fold(mean, running_var, None, None, None, self.eps, rstd, None)
        K.batch_norm_apply(x, mean, rstd, gamma, beta, None, out[0], self.act)

    def backward(self, K, gy):
        x, gamma, beta, mean, y = self.saved
        if self.training:
            mean, rstd = self.aux
        else:
            (rstd,) = self.aux
            mean = mean_or_filler(mean, rstd)
        gx = K.empty(gy.shape, gy.dtype) if self.needs[0] else None
        ggamma, gbeta = (
            K.empty((self.channels,), rstd.dtype) if need else None for need in self.needs[1:3]
        )
        K.batch_norm_bwd(
            *(gy, x, y, None, gamma, beta, mean, rstd, self.act, self.training),
            *(gx, ggamma, gbeta, None),
        )
        return gx, ggamma, gbeta, None, None


def statistics_dtype(dtype):
    """dtype of the parameters and statistics that go with activations of dtype."""
    return dtype if dtype.itemsize >= 4 else np.dtype("float32")


def sums_bytes(channels):
    """Bytes of the float64 sums that the statistics are made of."""
    return 2 * channels * 8


def mean_or_filler(mean, rstd):
    """mean, or where no gradient reads it and it was not kept, an array that kernels accept."""
    return rstd if mean is None else mean


def check_channels(name, x, channels, parameters, training):
    """ShapeError or DTypeError unless all parameters (None skipped) are (channels,) of the right
    dtype; ArgumentError where the running statistics are missing in eval."""
    wanted = statistics_dtype(x.dtype)
    for argument, a in parameters.items():
        if a is None:
            if argument.startswith("running") and not training:
                raise ArgumentError(
                    f"{name}: {argument} must be given with training=False: it is what x is"
                    " normalised by"
                )
            continue
        if a.shape != (channels,):
            hint = nchw_hint(x, a.shape[0]) if a.ndim == 1 else ""
            raise ShapeError(
                f"{name}: {argument} must have shape ({channels},), one per channel, got"
                f" {a.shape}{hint}"
            )
        if a.dtype != wanted:
            raise DTypeError(
                f"{name}: {argument} must be {wanted} for activations of {x.dtype}, got {a.dtype};"
                " convert one of them with astype"
            )


def check_constants(name, momentum, eps):
    """(momentum, eps) as floats; momentum in [0, 1], eps above 0."""
    if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
        raise ArgumentError(f"{name}: momentum must be a number in [0, 1], got {momentum!r}")
    if not isinstance(eps, int | float) or not eps > 0:
        raise ArgumentError(f"{name}: eps must be a number above 0, got {eps!r}")
    return float(momentum), float(eps)


@function(images=("x",), out=True)
def batch_norm(
    x,
    gamma=None,
    beta=None,
    running_mean=None,
    running_var=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    act=None,
):
    """Normalise x (..., C) per channel, then times gamma (C,) plus beta (C,), then act; same shape
    as x.

    Mind the order, which is not torch.nn.functional's: gamma and beta come first. In training
    running_mean and running_var (C,) are overwritten (running = (1 - momentum) * running + momentum
    * batch, the variance unbiased) unless None; in eval they are required. All are float32, for
    float64 x float64. act: None, "relu", ... or a backend.Activation, in the same pass. Raises
    ShapeError, DTypeError, ArgumentError.
    """
    momentum, eps = check_constants("batch_norm", momentum, eps)
    act = activation_named(act, "batch_norm")
    return BatchNorm(bool(training), momentum, eps, act)(x, gamma, beta, running_mean, running_var)
