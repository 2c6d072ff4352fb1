"""The kernel table on the CPU, second part: everything but convolution, matrix product and sums.

Semantics and signatures are those of reference.py; backend/cpu.py hands these functions on.
"""

import numpy as np

from fastconv import _cpu
from fastconv.backend.cpu_check import check_float
from fastconv.errors import ArgumentError

__all__ = [
    "activation_bwd",
    "activation_fwd",
    "adam_step",
    "adaptive_avg_pool2d_bwd",
    "adaptive_avg_pool2d_fwd",
    "adaptive_max_pool2d_bwd",
    "adaptive_max_pool2d_fwd",
    "add",
    "avg_pool2d_bwd",
    "avg_pool2d_fwd",
    "batch_norm_apply",
    "batch_norm_bwd",
    "batch_norm_fold",
    "batch_norm_prepare",
    "bce_with_logits_bwd",
    "bce_with_logits_fwd",
    "channel_shuffle",
    "cross_entropy_bwd",
    "cross_entropy_fwd",
    "dropout",
    "layer_norm_bwd",
    "layer_norm_fwd",
    "lrn_bwd",
    "lrn_fwd",
    "max_pool2d_bwd",
    "max_pool2d_fwd",
    "mse_bwd",
    "mse_fwd",
    "resize_bwd",
    "resize_fwd",
    "scale_channels_bwd",
    "scale_channels_fwd",
    "sgd_step",
    "softmax_bwd",
    "softmax_fwd",
]


# ---- pooling


def max_pool2d_fwd(x, y, argmax, problem):
    check_float("max_pool2d_fwd", x)
    _cpu.max_pool2d_fwd(x, y, argmax, problem)


def max_pool2d_bwd(gy, argmax, gx, problem):
    check_float("max_pool2d_bwd", gy)
    _cpu.max_pool2d_bwd(gy, argmax, gx, problem)


def avg_pool2d_fwd(x, y, problem, count_include_pad):
    check_float("avg_pool2d_fwd", x)
    _cpu.avg_pool2d_fwd(x, y, problem, count_include_pad)


def avg_pool2d_bwd(gy, gx, problem, count_include_pad):
    check_float("avg_pool2d_bwd", gy)
    _cpu.avg_pool2d_bwd(gy, gx, problem, count_include_pad)


def adaptive_avg_pool2d_fwd(x, y):
    check_float("adaptive_avg_pool2d_fwd", x)
    _cpu.adaptive_avg_pool2d_fwd(x, y)


def adaptive_avg_pool2d_bwd(gy, gx):
    check_float("adaptive_avg_pool2d_bwd", gy)
    _cpu.adaptive_avg_pool2d_bwd(gy, gx)


def adaptive_max_pool2d_fwd(x, y, argmax):
    check_float("adaptive_max_pool2d_fwd", x)
    _cpu.adaptive_max_pool2d_fwd(x, y, argmax)


def adaptive_max_pool2d_bwd(gy, argmax, gx):
    check_float("adaptive_max_pool2d_bwd", gy)
    _cpu.adaptive_max_pool2d_bwd(gy, argmax, gx)


# ---- norms


def batch_norm_prepare(sums, count, mean, rstd, running_mean, running_var, momentum, eps):
    check_float("batch_norm_prepare", mean)
    _cpu.batch_norm_prepare(sums, count, mean, rstd, running_mean, running_var, momentum, eps)


def batch_norm_fold(mean, var, gamma, beta, b, eps, scale, shift):
    check_float("batch_norm_fold", scale)
    _cpu.batch_norm_fold(mean, var, gamma, beta, b, eps, scale, shift)


def batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act):
    check_float("batch_norm_apply", x)
    _cpu.batch_norm_apply(x, mean, rstd, gamma, beta, residual, y, act)


def batch_norm_bwd(
    gy, x, y, residual, gamma, beta, mean, rstd, act, training, gx, ggamma, gbeta, gresidual
):
    check_float("batch_norm_bwd", gy)
    saved = y if act.saves == "y" else None
    _cpu.batch_norm_bwd(
        *(gy, x, saved, residual, gamma, beta, mean, rstd),
        *(act, training, gx, ggamma, gbeta, gresidual),
    )


def layer_norm_fwd(x, gamma, beta, y, mean, rstd, eps):
    check_float("layer_norm_fwd", x)
    _cpu.layer_norm_fwd(x, gamma, beta, y, mean, rstd, eps)


def layer_norm_bwd(gy, x, gamma, mean, rstd, gx, ggamma, gbeta):
    check_float("layer_norm_bwd", gy)
    _cpu.layer_norm_bwd(gy, x, gamma, mean, rstd, gx, ggamma, gbeta)


def lrn_fwd(x, y, scale, size, alpha, beta, k):
    check_float("lrn_fwd", x)
    _cpu.lrn_fwd(x, y, scale, size, alpha, beta, k)


def lrn_bwd(gy, x, scale, gx, size, alpha, beta):
    check_float("lrn_bwd", gy)
    _cpu.lrn_bwd(gy, x, scale, gx, size, alpha, beta)


# ---- element-wise


def activation_fwd(x, y, act):
    check_float("activation_fwd", x)
    _cpu.activation_fwd(x, y, act)


def activation_bwd(gy, saved, gx, act):
    check_float("activation_bwd", gy)
    _cpu.activation_bwd(gy, saved, gx, act)


def add(a, b, y, act):
    check_float("add", a)
    _cpu.add(a, b, y, act)


def dropout(x, y, p, seed, offset, group):
    check_float("dropout", x)
    low64 = (1 << 64) - 1
    _cpu.dropout(x, y, p, int(seed) & low64, int(offset) & low64, group)


def channel_shuffle(x, y, groups):
    check_float("channel_shuffle", x)
    _cpu.channel_shuffle(x, y, groups)


def scale_channels_fwd(x, s, y):
    check_float("scale_channels_fwd", x)
    _cpu.scale_channels_fwd(x, s, y)


def scale_channels_bwd(gy, x, s, gx, gs):
    check_float("scale_channels_bwd", gy)
    _cpu.scale_channels_bwd(gy, x, s, gx, gs)


# ---- resize


def resize_fwd(x, y, mode, align_corners):
    check_float("resize_fwd", x)
    _cpu.resize_fwd(x, y, mode, align_corners)


def resize_bwd(gy, gx, mode, align_corners):
    check_float("resize_bwd", gy)
    _cpu.resize_bwd(gy, gx, mode, align_corners)


# ---- softmax and losses


def softmax_fwd(x, y, log):
    check_float("softmax_fwd", x)
    _cpu.softmax_fwd(x, y, log)


def softmax_bwd(gy, y, gx, log):
    check_float("softmax_bwd", gy)
    _cpu.softmax_bwd(gy, y, gx, log)


def _check_labels(bad, labels, logits):
    """bad: the first row whose label is not a class, or -1."""
    if bad >= 0:
        raise ArgumentError(
            f"cross_entropy: labels[{bad}] is {labels[bad]}, logits {logits.shape} have the "
            f"classes 0 to {logits.shape[1] - 1}"
        )


def cross_entropy_fwd(logits, labels, loss, lse, smoothing, reduction):
    check_float("cross_entropy_fwd", logits)
    labels = np.ascontiguousarray(labels, np.int64)
    bad = _cpu.cross_entropy_fwd(logits, labels, loss, lse, smoothing, reduction)
    _check_labels(bad, labels, logits)


def cross_entropy_bwd(gloss, logits, labels, lse, glogits, smoothing, reduction):
    check_float("cross_entropy_bwd", logits)
    labels = np.ascontiguousarray(labels, np.int64)
    bad = _cpu.cross_entropy_bwd(
        np.asarray(gloss), logits, labels, lse, glogits, smoothing, reduction
    )
    _check_labels(bad, labels, logits)


def bce_with_logits_fwd(x, t, loss, reduction):
    check_float("bce_with_logits_fwd", x)
    _cpu.bce_with_logits_fwd(x, t, loss, reduction)


def bce_with_logits_bwd(gloss, x, t, gx, reduction):
    check_float("bce_with_logits_bwd", x)
    _cpu.bce_with_logits_bwd(np.asarray(gloss), x, t, gx, reduction)


def mse_fwd(x, t, loss, reduction):
    check_float("mse_fwd", x)
    _cpu.mse_fwd(x, t, loss, reduction)


def mse_bwd(gloss, x, t, gx, reduction):
    check_float("mse_bwd", x)
    _cpu.mse_bwd(np.asarray(gloss), x, t, gx, reduction)


# ---- optimizer steps over lists of arrays (in place)


def sgd_step(params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, first):
    for p in params:
        check_float("sgd_step", p)
    _cpu.sgd_step(
        params, grads, momenta, lr, momentum, dampening, weight_decay, bool(nesterov), bool(first)
    )


def adam_step(
    params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, decoupled, step
):
    for p in params:
        check_float("adam_step", p)
    _cpu.adam_step(
        *(params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay),
        *(bool(decoupled), step),
    )
