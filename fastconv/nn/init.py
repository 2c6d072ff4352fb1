"""Initialisers: each writes a parameter in place, names its source, and returns the parameter.

    w (K, R, S, C/groups) or (K, C)
    fan_in = product of w.shape[1:]            the inputs of one output
    fan_out = product of w.shape[:-1]          as PyTorch counts it
    uniform on [-bound, bound) has variance bound^2 / 3

Values are Philox streams (fastconv/backend/philox.py) of fc.manual_seed: the same on every device.
Inside a meta Trace nothing is generated.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from math import prod, sqrt

import numpy as np

from fastconv.backend import philox, to_device
from fastconv.core import next_stream
from fastconv.errors import ArgumentError, ShapeError

__all__ = [
    "constant_",
    "fans",
    "he_normal_",
    "he_uniform_",
    "lecun_1998_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "skipped",
    "torch_default_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


_skipping = ContextVar("skipping", default=False)


@contextmanager
def skipped():
    """Random initialisers inside the block draw nothing: for weights that are loaded anyway.

    A parameter that is not loaded afterwards holds whatever its memory held.
    """
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def _nothing_to_draw(p):
    return p.is_meta or _skipping.get()


def fans(w) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (K, R, S, C/groups) or (K, C)."""
    if w.ndim < 2:
        raise ShapeError(f"fans: a weight of 2 or 4 axes has fans, got shape {w.shape}")
    return prod(w.shape[1:]), prod(w.shape[:-1])


def _write(p, values):
    return p.copy_(to_device(values.reshape(p.shape), p.device))


# ---- plain distributions


def constant_(p, value):
    """Every element = value."""
    return p.copy_(value)


def zeros_(p):
    """0. For the last BatchNorm's gamma of a residual branch: the block starts as the identity.

    Goyal et al. 2017, "Accurate, large minibatch SGD", section 5.1.
    """
    return p.copy_(0)


def ones_(p):
    """Every element = 1."""
    return p.copy_(1)


def uniform_(p, low=0.0, high=1.0):
    """Uniform on [low, high)."""
    if _nothing_to_draw(p):
        return p
    u = philox.uniform(*next_stream(), p.size)
    u *= np.float32(high - low)
    u += np.float32(low)
    return _write(p, u)


def normal_(p, mean=0.0, std=1.0):
    """Normal. AlexNet: std 0.01 (Krizhevsky et al. 2012, section 5)."""
    if _nothing_to_draw(p):
        return p
    z = philox.normal(*next_stream(), p.size)
    z *= std
    z += mean
    return _write(p, z)


def trunc_normal_(p, mean=0.0, std=1.0, low=-2.0, high=2.0):
    """Normal within [low, high], absolute bounds as PyTorch; what falls outside is drawn again."""
    if not low < high:
        raise ArgumentError(f"trunc_normal_: low must be below high, got {low} and {high}")
    if _nothing_to_draw(p):
        return p
    z = np.empty(p.size)
    todo = np.arange(p.size)
    while todo.size:
        z[todo] = philox.normal(*next_stream(), todo.size) * std + mean
        todo = todo[(z[todo] < low) | (z[todo] > high)]
    return _write(p, z)


# ---- scaled by the fans


def _fan(name, w, mode):
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return max(fans(w)[mode == "fan_out"], 1)


def he_normal_(w, mode="fan_in", slope=0.0):
    """Normal, std = sqrt(2 / ((1 + slope^2) * fan)); slope: of the leaky ReLU behind (0: ReLU).

    He et al. 2015, "Delving deep into rectifiers", equations 10 and 15.
    """
    return normal_(w, std=sqrt(2 / ((1 + slope**2) * _fan("he_normal_", w, mode))))


def he_uniform_(w, mode="fan_in", slope=0.0):
    """Uniform, bound = sqrt(6 / ((1 + slope^2) * fan)): he_normal_'s variance. He et al. 2015."""
    bound = sqrt(6 / ((1 + slope**2) * _fan("he_uniform_", w, mode)))
    return uniform_(w, -bound, bound)


def xavier_normal_(w, gain=1.0):
    """Normal, std = gain * sqrt(2 / (fan_in + fan_out)). Glorot and Bengio 2010, eq. 12."""
    return normal_(w, std=gain * sqrt(2 / max(sum(fans(w)), 1)))


def xavier_uniform_(w, gain=1.0):
    """Uniform, bound = gain * sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010, eq. 16."""
    bound = gain * sqrt(6 / max(sum(fans(w)), 1))
    return uniform_(w, -bound, bound)


def lecun_normal_(w):
    """Normal, std = sqrt(1 / fan_in). LeCun et al. 1998, "Efficient backprop", section 4.6."""
    return normal_(w, std=sqrt(1 / _fan("lecun_normal_", w, "fan_in")))


def lecun_uniform_(w):
    """Uniform, bound = sqrt(3 / fan_in): lecun_normal_'s variance. "Efficient backprop", 4.6."""
    bound = sqrt(3 / _fan("lecun_uniform_", w, "fan_in"))
    return uniform_(w, -bound, bound)


def lecun_1998_(w, fan_in=None):
    """Uniform, bound = 2.4 / fan_in: LeNet-5's. fan_in: for biases, whose shape does not tell it.

    LeCun et al. 1998, "Gradient-based learning applied to document recognition", appendix A.
    """
    bound = 2.4 / (fan_in or _fan("lecun_1998_", w, "fan_in"))
    return uniform_(w, -bound, bound)


def torch_default_(w, b=None):
    """What torch.nn.Conv2d and Linear start with: both uniform, bound = 1 / sqrt(fan_in of w).

    It is he_uniform_ with slope sqrt(5), LeCun's rule up to a constant.
    """
    he_uniform_(w, slope=sqrt(5))
    if b is not None:
        bound = 1 / sqrt(_fan("torch_default_", w, "fan_in"))
        uniform_(b, -bound, bound)
    return w
