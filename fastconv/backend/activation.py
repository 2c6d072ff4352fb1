"""The activations that kernels can apply: one table for every backend, epilogue and gradient.

The codes are shared with csrc/activation.h; a test compares the two.
"""

from typing import NamedTuple

__all__ = ["ACTIVATIONS", "IDENTITY", "Activation"]


class Activation(NamedTuple):
    """An activation as kernels take it: its name and up to two constants.

    alpha, beta: leaky_relu slope; elu alpha; scaled_tanh amplitude A and slope S in A*tanh(S*x).
    """

    name: str
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def code(self) -> int:
        return ACTIVATIONS[self.name].code

    @property
    def saves(self) -> str:
        """ "y" if the gradient is computed from the output, "x" if it needs the input."""
        return ACTIVATIONS[self.name].saves

    @property
    def at_x(self) -> bool:
        """Whether the gradient can be computed from the input, whatever else will do."""
        return ACTIVATIONS[self.name].at_x


class ActivationRow(NamedTuple):
    code: int
    saves: str

    @property
    def at_x(self):
        # the input has the output's sign, and is above 6 where that is 6
        return self.saves == "x" or self.code in (0, 1, 2)


IDENTITY = Activation("identity")

ACTIVATIONS = {
    # name            code  gradient from
    "identity":    ActivationRow(0, "y"),
    "relu":        ActivationRow(1, "y"),
    "relu6":       ActivationRow(2, "y"),
    "leaky_relu":  ActivationRow(3, "x"),
    "elu":         ActivationRow(4, "x"),
    "silu":        ActivationRow(5, "x"),
    "hardswish":   ActivationRow(6, "x"),
    "hardsigmoid": ActivationRow(7, "x"),
    "gelu":        ActivationRow(8, "x"),
    "sigmoid":     ActivationRow(9, "y"),
    "tanh":        ActivationRow(10, "y"),
    "scaled_tanh": ActivationRow(11, "y"),
}  # fmt: skip
