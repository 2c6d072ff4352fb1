"""Cross-entropy of logits against class numbers, s = label smoothing.

    row loss = log sum_j exp(x_j) - (1-s)*x[label] - s*mean_j x_j
    gx_j     = gloss * (softmax(x)_j - (1-s)*[j = label] - s/classes)    (/ rows for "mean")

Label smoothing: Szegedy et al. 2016, section 7.
"""

from math import prod

import numpy as np

from fastconv.backend import array_module
from fastconv.core import Op, Spec, as_dtype, as_tensor, function
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.ops.arguments import float_dtype, probability
from fastconv.ops.cast import astype

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Op):
    autocast = "float32"

    label_smoothing: float = 0.0
    reduction: str = "mean"

    def infer(self, logits, labels):
        dtype = float_dtype("cross_entropy", logits=logits)
        if labels.dtype.kind not in "iu":
            raise DTypeError(
                f"cross_entropy: labels must be integers (class numbers), got {labels.dtype}; from"
                " one-hot rows: labels.argmax(axis=-1)"
            )
        if logits.ndim < 2 or labels.shape != logits.shape[:-1]:
            raise ShapeError(
                f"cross_entropy: logits {logits.shape} (..., classes) need labels of shape"
                f" {logits.shape[:-1]}, got {labels.shape}"
            )
        check_reduction("cross_entropy", self.reduction)
        self.rows, self.classes = prod(logits.shape[:-1]), logits.shape[-1]
        lse = Spec((self.rows,), np.promote_types(dtype, np.float32))
        shape = labels.shape if self.reduction == "none" else ()
        return (Spec(shape, dtype),), (lse,)

    def saves(self, inputs, outputs, needs):
        return inputs

    def _flat(self, logits, labels, loss):
        loss = loss.reshape(self.rows) if self.reduction == "none" else loss
        return logits.reshape(self.rows, self.classes), labels.reshape(self.rows), loss

    def forward(self, K, out, aux, logits, labels):
        x, label, loss = self._flat(logits, labels, out[0])
        check_labels(label, self.classes)
        K.cross_entropy_fwd(x, label, loss, aux[0], self.label_smoothing, self.reduction)

    def backward(self, K, gloss):
        x, label, gloss = self._flat(*self.saved, gloss)
        gx = K.empty(self.saved[0].shape, x.dtype)
        K.cross_entropy_bwd(
            gloss,
            x,
            label,
            self.aux[0],
            gx.reshape(x.shape),
            self.label_smoothing,
            self.reduction,
        )
        return gx, None


def check_labels(labels, classes):
    """ArgumentError with the first label that is not in [0, classes)."""
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(array_module(labels).argmax(outside))
        raise ArgumentError(
            f"cross_entropy: labels must be from 0 to {classes - 1} for {classes} classes, got"
            f" {int(labels[at])} at row {at}"
        )


def check_reduction(name, reduction):
    """ArgumentError unless reduction is one of those that losses have."""
    if reduction not in REDUCTIONS:
        raise ArgumentError(f"{name}: reduction must be one of {REDUCTIONS}, got {reduction!r}")


@function
def cross_entropy(logits, labels, label_smoothing=0.0, reduction="mean"):
    """Loss of logits (..., classes) against integer labels (...); a scalar, or (...) for "none".

    Raises DTypeError for labels that are no integers, ArgumentError for one out of range.
    """
    labels = as_tensor(labels)
    if labels.dtype.kind in "iu":
        labels = astype(labels, as_dtype("int64"))
    smoothing = probability(label_smoothing, "cross_entropy: label_smoothing")
    return CrossEntropy(smoothing, reduction)(logits, labels)
