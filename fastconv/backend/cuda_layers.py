"""The kernel table on CUDA devices, second part: everything but convolution and matrix product."""

import numpy as np

from fastconv.errors import DTypeError

__all__ = ["DeviceLayers"]


class DeviceLayers:
    """Wrappers; `extension` is _cuda or _emulator, `xp` its array module, `stream()` the current
    stream as an integer."""

    def __init__(self, name, extension, xp, stream):
        self.NAME = name
        self.extension = extension
        self.xp = xp
        self._stream = stream

    def _check(self, function, array):
        self._check_dtype(function, array.dtype)

    def _check_dtype(self, function, dtype):
        if np.dtype(dtype) != np.float32:
            raise DTypeError(
                f"{function}: the CUDA kernels take float32, came {np.dtype(dtype)}; convert with "
                'astype, or use fc.use_backend("reference")'
            )

    def _scratch(self, size):
        """A workspace of a kernel that the table's signature does not name, or None."""
        return self.xp.empty(size, np.uint8) if size else None

    # ---- per-channel reductions

    def channel_sum(self, x, y):
        self._check("channel_sum", x)
        e = self.extension
        e.channel_sum(x, y, self._scratch(e.channel_sums_workspace(x.size, x.shape[-1])),
                      self._stream())  # fmt: skip

    def channel_stats(self, x, sums):
        self._check("channel_stats", x)
        e = self.extension
        e.channel_stats(x, sums, self._scratch(e.channel_sums_workspace(x.size, x.shape[-1])),
                        self._stream())  # fmt: skip

    # ---- pooling

    def max_pool2d_fwd(self, x, y, argmax, problem):
        self._check("max_pool2d_fwd", x)
        self.extension.max_pool2d_fwd(x, y, argmax, problem, self._stream())

    def max_pool2d_bwd(self, gy, argmax, gx, problem):
        self._check("max_pool2d_bwd", gy)
        self.extension.max_pool2d_bwd(gy, argmax, gx, problem, self._stream())

    def avg_pool2d_fwd(self, x, y, problem, count_include_pad):
        self._check("avg_pool2d_fwd", x)
        self.extension.avg_pool2d_fwd(x, y, problem, count_include_pad, self._stream())

    def avg_pool2d_bwd(self, gy, gx, problem, count_include_pad):
        self._check("avg_pool2d_bwd", gy)
        self.extension.avg_pool2d_bwd(gy, gx, problem, count_include_pad, self._stream())

    def adaptive_avg_pool2d_fwd(self, x, y):
        self._check("adaptive_avg_pool2d_fwd", x)
        self.extension.adaptive_avg_pool2d_fwd(x, y, self._stream())

    def adaptive_avg_pool2d_bwd(self, gy, gx):
        self._check("adaptive_avg_pool2d_bwd", gy)
        self.extension.adaptive_avg_pool2d_bwd(gy, gx, self._stream())

    def adaptive_max_pool2d_fwd(self, x, y, argmax):
        self._check("adaptive_max_pool2d_fwd", x)
        self.extension.adaptive_max_pool2d_fwd(x, y, argmax, self._stream())

    def adaptive_max_pool2d_bwd(self, gy, argmax, gx):
        self._check("adaptive_max_pool2d_bwd", gy)
        self.extension.adaptive_max_pool2d_bwd(gy, argmax, gx, self._stream())

    # ---- norms

    def batch_norm_prepare(self, sums, count, mean, rstd, running_mean, running_var, momentum, eps):
        self._check("batch_norm_prepare", mean)
        self.extension.batch_norm_prepare(
            sums, count, mean, rstd, running_mean, running_var, momentum, eps, self._stream()
        )

    def batch_norm_fold(self, mean, var, gamma, beta, b, eps, scale, shift):
        self._check("batch_norm_fold", scale)
        self.extension.batch_norm_fold(mean, var, gamma, beta, b, eps, scale, shift, self._stream())

    def batch_norm_apply(self, x, mean, rstd, gamma, beta, residual, y, act):
        self._check("batch_norm_apply", x)
        self.extension.batch_norm_apply(
            x, mean, rstd, gamma, beta, residual, y, act, self._stream()
        )

    def batch_norm_bwd(
        self, gy, x, y, residual, gamma, beta, mean, rstd, act, training, gx, ggamma, gbeta,
        gresidual,
    ):  # fmt: skip
        self._check("batch_norm_bwd", gy)
        saved = y if act.saves == "y" else None
        scratch = self._scratch(self.extension.batch_norm_bwd_workspace(gy.size, gy.shape[-1]))
        self.extension.batch_norm_bwd(
            *(gy, x, saved, residual, gamma, beta, mean, rstd, act, training),
            *(gx, ggamma, gbeta, gresidual, scratch, self._stream()),
        )

    def layer_norm_fwd(self, x, gamma, beta, y, mean, rstd, eps):
        self._check("layer_norm_fwd", x)
        self.extension.layer_norm_fwd(x, gamma, beta, y, mean, rstd, eps, self._stream())

    def layer_norm_bwd(self, gy, x, gamma, mean, rstd, gx, ggamma, gbeta):
        self._check("layer_norm_bwd", gy)
        scratch = self._scratch(self.extension.layer_norm_bwd_workspace(*gy.shape))
        self.extension.layer_norm_bwd(
            gy, x, gamma, mean, rstd, gx, ggamma, gbeta, scratch, self._stream()
        )

    def lrn_fwd(self, x, y, scale, size, alpha, beta, k):
        self._check("lrn_fwd", x)
        self.extension.lrn_fwd(x, y, scale, size, alpha, beta, k, self._stream())

    def lrn_bwd(self, gy, x, scale, gx, size, alpha, beta):
        self._check("lrn_bwd", gy)
        self.extension.lrn_bwd(gy, x, scale, gx, size, alpha, beta, self._stream())

    # ---- element-wise

    def activation_fwd(self, x, y, act):
        self._check("activation_fwd", x)
        self.extension.activation_fwd(x, y, act, self._stream())

    def activation_bwd(self, gy, saved, gx, act):
        self._check("activation_bwd", gy)
        self.extension.activation_bwd(gy, saved, gx, act, self._stream())

    def add(self, a, b, y, act):
        self._check("add", a)
        self.extension.add(a, b, y, act, self._stream())

    def dropout(self, x, y, p, seed, offset, group):
        self._check("dropout", x)
        low64 = (1 << 64) - 1
        self.extension.dropout(x, y, p, int(seed) & low64, int(offset) & low64, group,
                               self._stream())  # fmt: skip

    def channel_shuffle(self, x, y, groups):
        self._check("channel_shuffle", x)
        self.extension.channel_shuffle(x, y, groups, self._stream())

    def scale_channels_fwd(self, x, s, y):
        self._check("scale_channels_fwd", x)
        self.extension.scale_channels_fwd(x, s, y, self._stream())

    def scale_channels_bwd(self, gy, x, s, gx, gs):
        self._check("scale_channels_bwd", gy)
        e, (n, h, w, c) = self.extension, gy.shape
        scratch = self._scratch(
            e.scale_channels_bwd_workspace(n, h * w * c, c) if gs is not None else 0
        )
        e.scale_channels_bwd(gy, x, s, gx, gs, scratch, self._stream())

    # ---- resize

    def resize_fwd(self, x, y, mode, align_corners):
        self._check("resize_fwd", x)
        self.extension.resize_fwd(x, y, mode, bool(align_corners), self._stream())

    def resize_bwd(self, gy, gx, mode, align_corners):
        self._check("resize_bwd", gy)
        self.extension.resize_bwd(gy, gx, mode, bool(align_corners), self._stream())

    # ---- softmax and losses

    def softmax_fwd(self, x, y, log):
        self._check("softmax_fwd", x)
        self.extension.softmax_fwd(x, y, bool(log), self._stream())

    def softmax_bwd(self, gy, y, gx, log):
        self._check("softmax_bwd", gy)
        self.extension.softmax_bwd(gy, y, gx, bool(log), self._stream())

    def _labels(self, labels):
        return self.xp.ascontiguousarray(labels, np.int64)

    def cross_entropy_fwd(self, logits, labels, loss, lse, smoothing, reduction):
        self._check("cross_entropy_fwd", logits)
        e = self.extension
        scratch = self._scratch(e.cross_entropy_workspace(len(logits), reduction))
        e.cross_entropy_fwd(
            logits, self._labels(labels), loss, lse, smoothing, reduction, scratch, self._stream()
        )

    def cross_entropy_bwd(self, gloss, logits, labels, lse, glogits, smoothing, reduction):
        self._check("cross_entropy_bwd", logits)
        gloss = self.xp.asarray(gloss)
        self.extension.cross_entropy_bwd(
            *(gloss, logits, self._labels(labels), lse, glogits, smoothing, reduction),
            self._stream(),
        )

    def bce_with_logits_fwd(self, x, t, loss, reduction):
        self._check("bce_with_logits_fwd", x)
        e = self.extension
        scratch = self._scratch(e.loss_workspace(x.size, reduction))
        e.bce_with_logits_fwd(x, t, loss, reduction, scratch, self._stream())

    def bce_with_logits_bwd(self, gloss, x, t, gx, reduction):
        self._check("bce_with_logits_bwd", x)
        gloss = self.xp.asarray(gloss)
        self.extension.bce_with_logits_bwd(gloss, x, t, gx, reduction, self._stream())

    def mse_fwd(self, x, t, loss, reduction):
        self._check("mse_fwd", x)
        e = self.extension
        scratch = self._scratch(e.loss_workspace(x.size, reduction))
        e.mse_fwd(x, t, loss, reduction, scratch, self._stream())

    def mse_bwd(self, gloss, x, t, gx, reduction):
        self._check("mse_bwd", x)
        gloss = self.xp.asarray(gloss)
        self.extension.mse_bwd(gloss, x, t, gx, reduction, self._stream())

    # ---- optimizer steps over lists of arrays (in place)

    def sgd_step(
        self, params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, first
    ):
        for p in params:
            self._check("sgd_step", p)
        self.extension.sgd_step(
            *(params, grads, momenta, lr, momentum, dampening, weight_decay),
            *(bool(nesterov), bool(first), self._stream()),
        )

    def adam_step(
        self, params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay, decoupled,
        step,
    ):  # fmt: skip
        for p in params:
            self._check("adam_step", p)
        self.extension.adam_step(
            *(params, grads, exp_avgs, exp_avg_sqs, lr, beta1, beta2, eps, weight_decay),
            *(bool(decoupled), step, self._stream()),
        )
