"""Checkpoints: part of a network that keeps its inputs only and is computed again on the way back.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". The node that stands for that
part in the graph has what the backward walk asks of an Op: order, outputs, edges, run_backward.
"""

from contextlib import ExitStack, contextmanager

from fastconv.backend import table_for
from fastconv.backend.select import use_table
from fastconv.core.graph import check_walkable, edges_of
from fastconv.core.op import next_order
from fastconv.core.random import random_state, set_random_state
from fastconv.core.spec import Spec
from fastconv.core.state import enable_grad, no_grad, overridden, state
from fastconv.core.tensor import Tensor, walk_back
from fastconv.core.trace import Record, Saved
from fastconv.errors import ArgumentError


def checkpointed(module, run, inputs):
    """run(*inputs), of which nothing but the inputs is kept for backward.

    module: whose parameters get gradients besides the inputs, and whose buffers (running
    statistics) run overwrites: the second time they are put back. run gives a Tensor or a tuple of
    them; inputs may be other things than Tensors. The second time has the same random numbers, so
    it gives the same bits.
    """
    name = type(module).__name__
    given = [x if isinstance(x, Tensor) else None for x in inputs]
    needs = [x is not None and x.requires_grad for x in given]
    if not any(needs) and not any(p.requires_grad for p in module.parameters()):
        return run(*inputs)
    again = _Again(run, list(module.buffers()))
    with no_grad(), overridden("packs", False):
        outputs = run(*inputs)
    several = isinstance(outputs, tuple)
    ys = outputs if several else (outputs,)
    if wrong := [type(y).__name__ for y in ys if not isinstance(y, Tensor)]:
        raise ArgumentError(
            f"checkpoint: {name} must give a Tensor or a tuple of Tensors, it gave {wrong[0]}"
        )
    node = Checkpoint(name, again, inputs, given, needs, len(ys))
    if state.trace is not None:
        state.trace.records.append(_record(module, given, needs, ys))
    # a view of an input has that input's buffer
    results = tuple(Tensor._from_op(y._data, node, i, y._buffer) for i, y in enumerate(ys))
    return results if several else results[0]


def _record(module, given, needs, ys):
    """Of the checkpoint itself: what it keeps. What it computes is in the records of its ops."""
    kept = {
        x._buffer: Saved(x._buffer.serial, x.nbytes, x._buffer.kind) for x in given if x is not None
    }
    return Record(
        name="Checkpoint",
        fields={},
        module=module,
        inputs=tuple(None if x is None else (x.shape, x.dtype) for x in given),
        outputs=tuple((y.shape, y.dtype) for y in ys),
        needs=tuple(needs),
        macs=0,
        backward_macs=0,
        bytes=0,
        saved=tuple(kept.values()),
        aux_bytes=0,
        workspace_bytes=0,
        kernel=None,
    )


class _Again:
    """A function, and what it was surrounded by the first time."""

    def __init__(self, run, buffers):
        self.run = run
        self.buffers = buffers
        self.table = table_for(())
        self.random = random_state()
        self.state = {name: getattr(state, name) for name in ("autocast", "algorithm")}

    def __call__(self, inputs):
        now = random_state()
        with ExitStack() as stack:
            stack.enter_context(enable_grad())
            stack.enter_context(use_table(self.table))
            for name, value in self.state.items():
                stack.enter_context(overridden(name, value))
            stack.enter_context(_unchanged(self.buffers))
            set_random_state(self.random)
            stack.callback(set_random_state, now)
            return self.run(*inputs)


@contextmanager
def _unchanged(buffers):
    """Values and versions of the buffers are afterwards what they were."""
    kept = [
        (b, b._buffer.version, None if type(b._data) is Spec else b._data.copy()) for b in buffers
    ]
    try:
        yield
    finally:
        for b, version, values in kept:
            if b._buffer.version != version:
                b._buffer.version = version
                if values is not None:
                    b._data[...] = values


class Checkpoint:
    """The node of one checkpoint."""

    def __init__(self, name, again, inputs, given, needs, outputs):
        self.name = name
        self.again = again
        self.order = next_order()
        self.outputs = outputs
        self.edges = edges_of(given, needs)
        # without their history, which the edges have
        self.inputs = [
            x if kept is None else kept.detach() for x, kept in zip(inputs, given, strict=True)
        ]
        self.guards = [(x._buffer, x._buffer.version) for x in given if x is not None]

    def run_backward(self, grads):
        """(edge, (gradient, buffer, owned), passed) per input in need; frees what was kept."""
        what = f"an input of {self.name}, which is computed again from it,"
        check_walkable(self.name, self.edges, self.guards, what)
        for x, edge in zip(self.inputs, self.edges, strict=True):
            if edge is not None:
                x.requires_grad = True
        outputs = self.again(self.inputs)
        ys = outputs if isinstance(outputs, tuple) else (outputs,)
        seeds = [(ys[i], grads[i]) for i in sorted(grads) if ys[i].requires_grad]
        del outputs, ys
        walk_back(seeds)
        steps = []
        for x, edge in zip(self.inputs, self.edges, strict=True):
            if edge is not None and x.grad is not None:
                steps.append((edge, (x.grad._data, x.grad._buffer, True), False))
        self.inputs = self.edges = self.again = self.guards = None
        return steps
