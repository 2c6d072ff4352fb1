"""infer is run once per op, shapes, dtypes and needs; after that the gate remembers it."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv.core import Op, Spec, Tensor, inferred
from fastconv.errors import ShapeError


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch):
    monkeypatch.setattr(inferred, "_found", {})


class Halve(Op):
    """out = x / 2 + the attribute that infer derives."""

    remembers = True
    calls = 0

    step: int

    def infer(self, x):
        Halve.calls += 1
        if x.shape[-1] % 2:
            raise ShapeError("Halve: odd")
        self.derived = (self.step, x.shape, x.dtype, self.needs)
        return (Spec(x.shape, x.dtype),), ()

    def forward(self, K, out, aux, x):
        out[0][...] = x / 2

    def backward(self, K, gy):
        return (gy / 2,)


def run(step, *shape, dtype="float32", requires_grad=False):
    op = Halve(step)
    op(Tensor(np.ones(shape, dtype), requires_grad))
    return op


def test_the_same_again_is_remembered_with_what_infer_set():
    Halve.calls = 0
    first, second = run(1, 3, 4), run(1, 3, 4)
    assert Halve.calls == 1
    assert second.derived == first.derived == (1, (3, 4), np.float32, (False,))
    assert second.step == 1


@pytest.mark.parametrize(
    "other",
    [
        {"step": 2, "shape": (3, 4)},
        {"step": 1, "shape": (4, 4)},
        {"step": 1, "shape": (3, 4), "dtype": "float64"},
        {"step": 1, "shape": (3, 4), "requires_grad": True},
    ],
)
def test_whatever_infer_may_look_at_is_told_apart(other):
    run(1, 3, 4)
    shape = other.pop("shape")
    op = run(other.pop("step"), *shape, **other)
    dtype, needs = np.dtype(other.get("dtype", "float32")), (other.get("requires_grad", False),)
    assert op.derived == (op.step, shape, dtype, needs)


def test_misuse_is_found_every_time():
    for _ in range(2):
        with pytest.raises(ShapeError, match="odd"):
            run(1, 3, 3)


def test_it_does_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(inferred, "_LIMIT", 5)
    for n in range(23):
        run(1, n, 4)
    assert 0 < len(inferred._found) <= 5


def test_a_meta_trace_and_a_real_run_share_it():
    x, w = np.ones((1, 5, 5, 2), "float32"), np.ones((3, 3, 3, 2), "float32")
    with fc.Trace(meta=True):
        shape = F.conv2d(Tensor(Spec(x.shape, x.dtype)), Tensor(Spec(w.shape, w.dtype))).shape
    known = len(inferred._found)
    y = F.conv2d(x, w)
    assert y.shape == shape == (1, 3, 3, 3)
    assert len(inferred._found) == known
    assert (y == 18).all()
