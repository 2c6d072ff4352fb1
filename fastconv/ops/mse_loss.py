"""Squared error: loss = (x - t)^2, its sum or its mean; gx = 2 gloss (x - t), gt = -gx."""

from fastconv.core import Op, Spec, as_tensor, function
from fastconv.errors import ShapeError
from fastconv.ops.arguments import float_dtype
from fastconv.ops.cross_entropy import check_reduction


class MSELoss(Op):
    autocast = "float32"

    reduction: str = "mean"

    def infer(self, x, t):
        dtype = float_dtype("mse_loss", x=x, t=t)
        if x.shape != t.shape:
            raise ShapeError(f"mse_loss: x has shape {x.shape}, t {t.shape}; they must be equal")
        check_reduction("mse_loss", self.reduction)
        return (Spec(x.shape if self.reduction == "none" else (), dtype),), ()

    def saves(self, inputs, outputs, needs):
        return inputs

    def forward(self, K, out, aux, x, t):
        K.mse_fwd(x, t, out[0], self.reduction)

    def backward(self, K, gloss):
        gx, gt = [K.empty(a.shape, a.dtype) if n else None for n, a in zip(self.needs, self.saved)]
        if gx is not None:
            K.mse_bwd(gloss, *self.saved, gx, self.reduction)
        if gt is not None:
            K.mse_bwd(gloss, *self.saved[::-1], gt, self.reduction)
        return gx, gt


@function
def mse_loss(x, t, reduction="mean"):
    """(x - t)^2 of equal shapes and dtypes: its "mean", "sum", or "none" for every element."""
    return MSELoss(reduction)(x, as_tensor(t))
