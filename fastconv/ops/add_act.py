"""Residual sum and activation in one pass: z = act(x + y). He et al. 2015, figure 2."""

from fastconv.backend import ACTIVATIONS, IDENTITY, Activation
from fastconv.core import Op, Spec, function
from fastconv.errors import ArgumentError, ShapeError
from fastconv.ops.arguments import float_dtype


class AddAct(Op):
    shares = (0, 1)

    act: Activation

    def infer(self, x, y):
        spec = Spec(x.shape, float_dtype("add_act", x=x, y=y))
        if x.shape != y.shape:
            raise ShapeError(f"add_act: x has shape {x.shape}, y {y.shape}; they must be equal")
        # the sum itself is kept only where the gradient of act is computed from it
        keep = self.act.saves == "x" and True in self.needs
        return (spec,), (spec,) if keep else ()

    def saves(self, inputs, outputs, needs):
        return outputs if self.act.saves == "y" else ()

    def forward(self, K, out, aux, x, y):
        if aux:
            K.add(x, y, aux[0], IDENTITY)
            K.activation_fwd(aux[0], out[0], self.act)
        else:
            K.add(x, y, out[0], self.act)

    def backward(self, K, gz):
        g = K.empty(gz.shape, gz.dtype)
        K.activation_bwd(gz, *(self.aux or self.saved), g, self.act)
        return (g, g)


@function
def add_act(x, y, act):
    """act(x + y) of equal shapes; act is an Activation or the name of one without constants."""
    if isinstance(act, str):
        if act not in ACTIVATIONS:
            raise ArgumentError(
                f"add_act: act must be one of {', '.join(ACTIVATIONS)}, got {act!r}"
            )
        act = Activation(act)
    return AddAct(act)(x, y)
