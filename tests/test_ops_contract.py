"""What ops promise the gate: the scratch memory they declare, and each gradient by itself."""

import itertools
import weakref

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend import table_for
from fastconv.core import Op
from tests.cases import CASES

SEVERAL = [c for c in CASES if c.gradient and sum(i.differentiable for i in c.inputs) > 1]


class Allocations:
    """Every array that the table's `empty` hands out: when it is born and when it dies."""

    def __init__(self, monkeypatch):
        table = table_for([])
        self.events = []
        self.serials = {}  # by id of the arrays alive: Python gives an id again
        plain, count = table.empty, itertools.count()

        def empty(shape, dtype, *more):
            a = plain(shape, dtype, *more)
            serial = self.serials[id(a)] = next(count)
            self.events.append((serial, a.nbytes))
            weakref.finalize(a, self._freed, id(a), serial, a.nbytes)
            return a

        monkeypatch.setattr(table, "empty", empty)

    def _freed(self, key, serial, nbytes):
        self.events.append((serial, -nbytes))
        if self.serials[key] == serial:
            del self.serials[key]

    def peak(self, results):
        """The most that was alive at once beside the results since the last call."""
        kept = {self.serials.get(id(owner)) for a in results for owner in (a, a.base)}
        live, most = 0, 0
        for serial, nbytes in self.events:
            live += 0 if serial in kept else nbytes
            most = max(most, live)
        self.events.clear()
        return most


def tensors(case, arrays, wanted):
    """The inputs; only those with an index in wanted need a gradient."""
    return [fc.tensor(a, requires_grad=i in wanted) for i, a in enumerate(arrays)]


def differentiable(case):
    return [i for i, spec in enumerate(case.inputs) if spec.differentiable]


@pytest.mark.parametrize("case", [c for c in CASES if c.gradient], ids=lambda c: c.name)
def test_declared_workspace_is_what_is_allocated(case, backend, monkeypatch):
    allocations = Allocations(monkeypatch)
    declared, found = [], []

    def watch(op):
        forward, backward = op.forward, op.backward

        def watched_forward(K, *arguments):
            allocations.events.clear()
            forward(K, *arguments)
            found.append(("forward", allocations.peak([])))
            declared.append(("forward", op.workspace(K, "forward")))

        def watched_backward(K, *gys):
            allocations.events.clear()
            gxs = backward(K, *gys)
            found.append(("backward", allocations.peak([g for g in gxs if g is not None])))
            declared.append(("backward", op.workspace(K, "backward")))
            return gxs

        op.forward, op.backward = watched_forward, watched_backward

    inputs = differentiable(case)
    for wanted in (inputs, *([i] for i in inputs)):
        with fc.Trace(on_enter=watch):
            outputs = case.run(tensors(case, case.draw("float64"), wanted))
            y = next(y for y in outputs if y.requires_grad)
            y.backward(np.ones(y.shape, y.dtype))
    # more where a function is several ops, none where astype has nothing to do
    assert len(found) >= 2 * (1 + len(inputs)) or case.function == "astype"
    assert found == declared


def gradients(case, arrays, wanted):
    xs = tensors(case, arrays, wanted)
    outputs = case.run(xs)
    total = None
    for y in outputs:
        if y.requires_grad:
            rng = np.random.default_rng(y.size)
            term = (y * fc.tensor(rng.standard_normal(y.shape))).sum()
            total = term if total is None else total + term
    total.backward()
    return {i: xs[i].grad.numpy() for i in wanted}


@pytest.mark.parametrize("case", SEVERAL, ids=lambda c: c.name)
def test_a_gradient_does_not_depend_on_what_else_is_wanted(case, backend):
    arrays = case.draw("float64")
    inputs = differentiable(case)
    together = gradients(case, arrays, inputs)
    for i in inputs:
        alone = gradients(case, arrays, [i])[i]
        bound = 1e-13 * np.abs(together[i]).max(initial=1.0)
        np.testing.assert_allclose(alone, together[i], rtol=0, atol=bound)


def test_ops_of_the_cases_are_all_ops():
    """An op without a case is not tested by anything here."""
    with fc.use_backend("reference"), fc.Trace(meta=True) as trace:
        for case in CASES:
            case.run([fc.tensor(a) for a in case.draw("float32")])
        seen = {r.name for r in trace.records}
    ours = {c for c in _subclasses(Op) if c.__module__.startswith("fastconv.ops")}
    assert {c.__name__ for c in ours if not c.__subclasses__()} <= seen


def _subclasses(cls):
    for c in cls.__subclasses__():
        yield c
        yield from _subclasses(c)
