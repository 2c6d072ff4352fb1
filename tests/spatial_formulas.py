"""Norms and subsampling as their formulas read, in NumPy: what the reference must give."""

import numpy as np


def normalised(x, axes, eps, mean=None, var=None):
    mean = x.mean(axes, keepdims=True) if mean is None else mean
    var = x.var(axes, keepdims=True) if var is None else var
    return (x - mean) / np.sqrt(var + eps)


def direct_batch_norm(x, gamma, beta, mean, var, training, eps=1e-5):
    statistics = () if training else (mean, var)
    return normalised(x, tuple(range(x.ndim - 1)), eps, *statistics) * gamma + beta


def direct_layer_norm(x, gamma=None, beta=None, eps=1e-5, normalized_shape=None):
    shape = normalized_shape or (x.shape[-1:] if gamma is None else gamma.shape)
    y = normalised(x, tuple(range(x.ndim - len(shape), x.ndim)), eps)
    return y if gamma is None else y * gamma + beta


def direct_response_norm(x, size, alpha, beta=0.75, k=1.0):
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        window = x[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        y[..., c] = x[..., c] / (k + alpha * (window**2).sum(-1)) ** beta
    return y


def direct_subsampling(x, coefficient, bias, kernel_size=2):
    r, s = np.broadcast_to(kernel_size, 2)
    p, q = x.shape[1] // r, x.shape[2] // s
    windows = x[:, : p * r, : q * s].reshape(len(x), p, r, q, s, -1)
    return windows.sum((2, 4)) * coefficient + bias
