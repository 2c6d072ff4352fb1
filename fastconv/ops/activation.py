"""Element-wise activations, one op over the table of fastconv/backend/activation.py.

relu         max(x, 0)
relu6        min(max(x, 0), 6)
leaky_relu   x where x > 0, else slope * x
elu          x where x > 0, else alpha * (exp(x) - 1)
silu         x * sigmoid(x)
hardswish    x * relu6(x + 3) / 6
hardsigmoid  relu6(x + 3) / 6
gelu         x * (1 + erf(x / sqrt(2))) / 2, the exact form
sigmoid      1 / (1 + exp(-x))
tanh
scaled_tanh  A * tanh(S * x), LeCun et al. 1998
"""

from fastconv.backend import Activation
from fastconv.core import Op, Spec, function
from fastconv.ops.arguments import float_dtype


class Activate(Op):
    act: Activation

    def infer(self, x):
        return (Spec(x.shape, float_dtype(self.act.name, x=x)),), ()

    def saves(self, inputs, outputs, needs):
        return outputs if self.act.saves == "y" else inputs

    def forward(self, K, out, aux, x):
        K.activation_fwd(x, out[0], self.act)

    def backward(self, K, gy):
        gx = K.empty(gy.shape, gy.dtype)
        K.activation_bwd(gy, self.saved[0], gx, self.act)
        return (gx,)


RELU = Activation("relu")


@function
def relu(x):
    """max(x, 0), any shape."""
    return Activate(RELU)(x)


@function
def relu6(x):
    """min(max(x, 0), 6), any shape. Howard et al. 2017."""
    return Activate(Activation("relu6"))(x)


@function
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope * x. Maas et al. 2013."""
    return Activate(Activation("leaky_relu", float(negative_slope)))(x)


@function
def elu(x, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1). Clevert et al. 2015."""
    return Activate(Activation("elu", float(alpha)))(x)


@function
def silu(x):
    """x * sigmoid(x), also called swish. Elfwing et al. 2017."""
    return Activate(Activation("silu"))(x)


@function
def hardswish(x):
    """x * relu6(x + 3) / 6. Howard et al. 2019, section 5.2."""
    return Activate(Activation("hardswish"))(x)


@function
def hardsigmoid(x):
    """relu6(x + 3) / 6. Howard et al. 2019."""
    return Activate(Activation("hardsigmoid"))(x)


@function
def gelu(x):
    """x * (1 + erf(x / sqrt(2))) / 2, the exact form. Hendrycks and Gimpel 2016."""
    return Activate(Activation("gelu"))(x)


@function
def sigmoid(x):
    """1 / (1 + exp(-x)), any shape."""
    return Activate(Activation("sigmoid"))(x)


@function
def tanh(x):
    """Hyperbolic tangent, any shape."""
    return Activate(Activation("tanh"))(x)


@function
def scaled_tanh(x, amplitude=1.7159, slope=2 / 3):
    """amplitude * tanh(slope * x): LeNet-5's squashing function. LeCun et al. 1998, appendix A."""
    return Activate(Activation("scaled_tanh", float(amplitude), float(slope)))(x)
