"""Less memory in training for another forward pass of parts of the network."""

from fastconv.errors import ArgumentError
from fastconv.nn.module import Module

__all__ = ["checkpoint"]


def checkpoint(module: Module, recompute: bool = True) -> Module:
    """From now on the module keeps its inputs only for backward, and is computed again there.

    The activations inside it, which may be most of a training step's memory, are then alive for one
    such module at a time. Gradients and running statistics have the same bits as without. Its names
    in state dicts stay. fc.analysis.summary(model, shape, training=True) tells what it saves before
    anything is computed. recompute=False takes it back. Returns the module.

    >>> for block in model.layer1.children(): fc.checkpoint(block)

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """
    if not isinstance(module, Module):
        raise ArgumentError(f"checkpoint: module must be an nn.Module, got {module!r}")
    module.recomputed = bool(recompute)
    return module
