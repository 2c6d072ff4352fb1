"""What an Op and a Checkpoint, the nodes of the graph, do alike: edges, checks on the way back."""

from fastconv.errors import GradientError


def edge_of(x):
    """Where a gradient by this tensor goes: a leaf, or (the node that made it, which output).

    Edges hold nodes and leaves, not intermediate tensors: what is not saved is freed.
    """
    return x if x._op is None else (x._op, x._index)


def edges_of(inputs, needs):
    """An edge per input in need of a gradient, None for the others."""
    return [edge_of(x) if need else None for x, need in zip(inputs, needs, strict=True)]


def check_walkable(name, edges, guards, what):
    """GradientError if the node was walked before, or a guarded buffer was written to since.

    guards: (buffer, version) pairs; what: of them, in the message.
    """
    if edges is None:
        raise GradientError(
            f"backward: the graph at {name} was already walked and freed: compute the result again,"
            " or add the losses before one backward()"
        )
    for buffer, version in guards:
        if buffer.version != version:
            raise GradientError(
                f"backward: {what} was overwritten in place (version {version}, now"
                f" {buffer.version}): copy it before writing"
            )
