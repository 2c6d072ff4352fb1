"""Trace accounting against counts made by hand: bytes alive, peak, saved, per kind."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.core import Op, Spec, Tensor, state

F = fc.functional

pytestmark = pytest.mark.usefixtures("backend")

MODES = pytest.mark.parametrize("meta", [False, True], ids=["real", "meta"])
N = 100
B = 4 * N  # bytes of one vector of float32


def vector(requires_grad=False):
    return fc.tensor(np.ones(N, np.float32), requires_grad=requires_grad)


@MODES
def test_forward_only(meta):
    with fc.no_grad(), fc.Trace(meta=meta) as trace:
        x = vector()
        assert trace.live_by_kind == {"input": B}
        y = x.exp()
        assert trace.live_by_kind == {"input": B, "activation": B}
        y = y.exp()  # both alive for a moment
        assert trace.live_bytes == 2 * B
        assert trace.peak_bytes == 3 * B
        assert trace.peak_by_kind == {"input": B, "activation": 2 * B}
        del y
        assert trace.live_by_kind == {"input": B, "activation": 0}
    assert [r.bytes for r in trace.records] == [2 * B, 2 * B]
    assert trace.saved_bytes == 0


@MODES
def test_a_chain_and_its_backward(meta):
    with fc.Trace(meta=meta) as trace:
        x = vector(requires_grad=True)
        y = x.exp()  # saves its output
        z = y.log()  # saves its input: the same buffer
        total = z.sum()
        assert trace.saved_bytes == B
        assert trace.live_by_kind == {"input": B, "activation": 2 * B + 4}
        del y, z
        assert trace.live_by_kind == {"input": B, "activation": B + 4}
        trace.reset_peak()
        total.backward()
        # alive at the peak: y (saved), the gradient by y while exp makes the one by x
        assert trace.peak_by_kind == {"input": B, "activation": B + 4, "gradient": 2 * B}
        assert trace.live_by_kind == {"input": B, "activation": 4, "gradient": B}
    assert [[s.nbytes for s in r.saved] for r in trace.records] == [[B], [B], []]
    assert trace.records[0].saved[0].serial == trace.records[1].saved[0].serial


@MODES
def test_views_share_the_buffer(meta):
    with fc.Trace(meta=meta) as trace:
        x = vector()
        y = x.reshape(10, 10)
        z = y[2:4]
        assert trace.live_bytes == B
        assert trace.records[0].bytes == B  # one buffer, read nor written
        del x, y
        assert trace.live_bytes == B  # z keeps the whole of it
        del z
        assert trace.live_bytes == 0


class Witness(Op):
    """y = x; its backward notes the most gradient memory that there was until then."""

    def infer(self, x):
        return (Spec(x.shape, x.dtype),), ()

    def forward(self, K, out, aux, x):
        out[0][...] = x

    def backward(self, K, gy):
        self.peak = state.trace.peak_by_kind["gradient"]
        return (gy.copy(),)


def test_a_passed_gradient_is_counted_once():
    with fc.Trace() as trace:
        witness = Witness()
        z = (witness(vector(requires_grad=True)) + 1.0).reshape(10, 10)
        gy = fc.tensor(np.ones((10, 10), np.float32))
        trace.reset_peak()
        z.backward(gy)
    # the seed is a gradient, though its memory is gy's; both ops before the witness hand it on
    assert witness.peak == B
    assert trace.peak_by_kind["gradient"] == 2 * B


@MODES
def test_fan_out_makes_one_sum(meta):
    with fc.Trace(meta=meta) as trace:
        x = vector(requires_grad=True)
        y = x * 1.0
        total = (y * 2.0 + y * 3.0).sum()
        trace.reset_peak()
        total.backward()
        # add hands on what it got; with the two products and then their sum three are alive
        assert trace.peak_by_kind["gradient"] == 3 * B
        assert trace.live_by_kind["gradient"] == B


@MODES
def test_one_array_for_two_inputs_is_one_buffer(meta):
    with fc.Trace(meta=meta) as trace:
        x = vector(requires_grad=True)
        total = F.add_act(x * 1.0, x * 1.0, "relu").sum()
        trace.reset_peak()
        total.backward()
        # add_act's saved output, the gradient by it, and one for both products; 1.0 twice
        kinds = {"input": B + 8, "activation": B + 4, "gradient": 2 * B}
        assert trace.peak_by_kind == kinds


@MODES
def test_aux_and_workspace(meta):
    with fc.Trace(meta=meta) as trace:
        x = fc.tensor(np.ones((5, 3), np.float32), requires_grad=True)
        loss = F.cross_entropy(x, np.array([0, 1, 2, 0, 1]))
        record = trace.records[-1]
        assert record.aux_bytes == 5 * 4  # log-sum-exp per row
        kept = {"input": 5 * 3 * 4 + 5 * 8, "activation": 4 + 5 * 4}
        assert trace.live_by_kind == kept
        assert sorted(s.nbytes for s in record.saved) == [20, 40, 60]
        loss.backward()
    y = fc.tensor(np.ones((10, 10), np.float32))
    with fc.Trace(meta=False) as trace:
        y.var(axis=0)
    assert trace.records[0].workspace_bytes == 400
    assert trace.peak_by_kind["workspace"] == 400
    assert trace.live_by_kind["workspace"] == 0


@MODES
def test_macs_and_bilinear_operands(meta):
    with fc.Trace(meta=meta) as trace:
        x = fc.tensor(np.ones((2, 5, 5, 3), np.float32))
        w = fc.tensor(np.ones((4, 3, 3, 3), np.float32), requires_grad=True)
        y = F.conv2d(x, w)
        F.conv2d(F.relu(y), fc.tensor(np.ones((1, 1, 1, 4), np.float32)))
    one, two = 2 * 3 * 3 * 4 * 27, 2 * 3 * 3 * 4
    assert [r.macs for r in trace.records] == [one, 0, two]
    assert [r.backward_macs for r in trace.records] == [one, 0, two]
    assert trace.macs == one + two and trace.flops == 2 * trace.macs


def test_traces_nest_and_the_inner_one_records():
    x = Tensor(np.ones(N, np.float32))
    with fc.Trace() as outer:
        x.exp()
        with fc.Trace() as inner:
            x.log()
        x.sqrt()
    assert [r.name for r in outer.records] == ["Exp", "Sqrt"]
    assert [r.name for r in inner.records] == ["Log"]


def test_a_buffer_dies_in_the_trace_that_it_was_born_in():
    with fc.Trace() as outer:
        x = vector()
        with fc.Trace() as inner:
            y = x.exp()
            del x
        assert outer.live_bytes == 0
        del y
    assert inner.live_bytes == 0 and inner.peak_bytes == B


def test_hooks_and_times():
    seen = []
    trace = fc.Trace(
        time=True,
        on_enter=lambda op: seen.append(type(op).__name__),
        on_exit=lambda op, record: seen.append(record.name),
    )
    with trace:
        vector(requires_grad=True).exp().sum().backward()
    assert seen == ["Exp", "Exp", "Sum", "Sum"]
    for record in trace.records:
        assert 0 < record.seconds < 1
        assert 0 < record.backward_seconds < 1


def test_without_time_there_is_none():
    with fc.Trace() as trace:
        vector().exp()
    assert trace.records[0].seconds is None
