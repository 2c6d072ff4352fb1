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
    at_x: bool


IDENTITY = Activation("identity")

ACTIVATIONS = {
    # name            code  gradient from, and whether the input will do too: where the output only
    #                       tells its sign, and whether it is above 6, the input tells the same
    "identity":    ActivationRow(0, "y", True),
    "relu":        ActivationRow(1, "y", True),
    "relu6":       ActivationRow(2, "y", True),
    "leaky_relu":  ActivationRow(3, "x", True),
    "elu":         ActivationRow(4, "x", True),
    "silu":        ActivationRow(5, "x", True),
    "hardswish":   ActivationRow(6, "x", True),
    "hardsigmoid": ActivationRow(7, "x", True),
    "gelu":        ActivationRow(8, "x", True),
    "sigmoid":     ActivationRow(9, "y", False),
    "tanh":        ActivationRow(10, "y", False),
    "scaled_tanh": ActivationRow(11, "y", False),
}  # fmt: skip
