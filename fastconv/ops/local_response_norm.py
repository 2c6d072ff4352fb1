"""Local response normalisation across channels. Krizhevsky et al. 2012, section 3.3.

    y[..., c] = x[..., c] / (k + alpha * sum_j x[..., j]^2)^beta,
                c - size//2 <= j <= c + (size-1)//2

The paper's alpha multiplies the plain sum (k=2, n=5, alpha=1e-4, beta=0.75); torch's and ONNX's is
divided by size first. Two functions, so that neither is taken for the other.
"""

from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import float_dtype, positive_int


class LocalResponseNorm(Op):
    autocast = "float32"

    size: int
    alpha: float  # of the plain sum, as the paper has it
    beta: float
    k: float

    def infer(self, x):
        dtype = float_dtype("local_response_norm", x=x)
        if x.ndim < 2:
            raise ShapeError(
                f"local_response_norm: x must have at least 2 axes (..., C), got {x.shape}"
            )
        spec = Spec(x.shape, dtype)
        return (spec,), (spec,) if self.needs[0] else ()

    def saves(self, inputs, outputs, needs):
        return inputs

    def forward(self, K, out, aux, x):
        scale = aux[0] if aux else None
        K.lrn_fwd(x, out[0], scale, self.size, self.alpha, self.beta, self.k)

    def backward(self, K, gy):
        gx = K.empty(gy.shape, gy.dtype)
        K.lrn_bwd(gy, self.saved[0], self.aux[0], gx, self.size, self.alpha, self.beta)
        return (gx,)


def _constants(name, **values):
    for argument, value in values.items():
        if not isinstance(value, int | float) or value < 0:
            raise ArgumentError(f"{name}: {argument} must be a number, not negative, got {value!r}")
    return tuple(float(v) for v in values.values())


@function(images=("x",))
def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """torch's constants: alpha / size multiplies the sum of squares. x (..., C), same shape out.

    Raises ShapeError, DTypeError, ArgumentError.
    """
    size = positive_int(size, "local_response_norm: size")
    alpha, beta, k = _constants("local_response_norm", alpha=alpha, beta=beta, k=k)
    return LocalResponseNorm(size, alpha / size, beta, k)(x)


@function(images=("x",))
def paper_local_response_norm(x, n=5, alpha=1e-4, beta=0.75, k=2.0):
    """The constants of AlexNet's paper: alpha multiplies the sum of squares over n channels itself.

    x (..., C), same shape out. Raises ShapeError, DTypeError, ArgumentError.
    """
    name = "paper_local_response_norm"
    alpha, beta, k = _constants(name, alpha=alpha, beta=beta, k=k)
    return LocalResponseNorm(positive_int(n, f"{name}: n"), alpha, beta, k)(x)
