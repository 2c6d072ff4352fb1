"""Cross-entropy of one logit per sample against a probability: two classes with one unit.

loss = max(x, 0) - x*t + log(1 + exp(-|x|))  =  -t*log sigmoid(x) - (1-t)*log(1 - sigmoid(x))
gx   = gloss * (sigmoid(x) - t)                                   (divided by the size for "mean")
"""

from fastconv.core import Op, Spec, as_tensor, function
from fastconv.errors import GradientError, ShapeError
from fastconv.ops.arguments import float_dtype
from fastconv.ops.cross_entropy import check_reduction


class BinaryCrossEntropyWithLogits(Op):
    autocast = "float32"

    reduction: str = "mean"

    def infer(self, x, t):
        name = "binary_cross_entropy_with_logits"
        dtype = float_dtype(name, x=x, t=t)
        if x.shape != t.shape:
            raise ShapeError(f"{name}: x has shape {x.shape}, t {t.shape}; they must be equal")
        if self.needs[1]:
            raise GradientError(f"{name}: t has no gradient here; give t.detach()")
        check_reduction(name, self.reduction)
        return (Spec(x.shape if self.reduction == "none" else (), dtype),), ()

    def saves(self, inputs, outputs, needs):
        return inputs

    def forward(self, K, out, aux, x, t):
        K.bce_with_logits_fwd(x, t, out[0], self.reduction)

    def backward(self, K, gloss):
        x, t = self.saved
        gx = K.empty(x.shape, x.dtype)
        K.bce_with_logits_bwd(gloss, x, t, gx, self.reduction)
        return gx, None


@function
def binary_cross_entropy_with_logits(x, t, reduction="mean"):
    """Loss of logits x against t in [0, 1], equal shapes; a scalar, or x's shape for "none"."""
    return BinaryCrossEntropyWithLogits(reduction)(x, as_tensor(t))
