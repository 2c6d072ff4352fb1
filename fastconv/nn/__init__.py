"""Floor 4: modules with named parameters, initialisers, and files of weights."""

from fastconv.nn.module import Module
from fastconv.nn.parameter import Buffer, Parameter
from fastconv.nn.state_dict import StateDict

__all__ = ["Buffer", "Module", "Parameter", "StateDict"]
