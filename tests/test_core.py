"""The gate and the backward walk: what is recorded, what is freed, who owns a gradient."""

import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from inspect import signature

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend import Activation
from fastconv.core import Op, Spec, Tensor
from fastconv.errors import (
    AlgorithmError,
    ArgumentError,
    DTypeError,
    GradientError,
    MetaError,
    RegistryError,
)

F = fc.functional

pytestmark = pytest.mark.usefixtures("backend")


def leaf(*shape, value=None, dtype="float32"):
    values = np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape) if value is None else value
    return fc.tensor(np.broadcast_to(values, shape), requires_grad=True, dtype=dtype)


# ---- what is recorded


def test_no_grad_records_nothing_and_nests():
    x = leaf(3)
    with fc.no_grad():
        assert not (x * 2).requires_grad
        with fc.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_is_left_after_an_error():
    with pytest.raises(ZeroDivisionError), fc.no_grad():
        raise ZeroDivisionError
    assert (leaf(2) + 1).requires_grad


def test_no_grad_as_a_decorator():
    @fc.no_grad()
    def double(x):
        return x + x

    assert not double(leaf(2)).requires_grad
    assert not double(leaf(2)).requires_grad


def test_plain_arrays_come_back_as_arrays():
    y = F.relu(np.array([-1.0, 2.0], np.float32))
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, [0, 2])


def test_only_inputs_that_need_it_get_a_gradient():
    x, y = leaf(3), fc.tensor(np.ones(3, np.float32))
    z = x * y
    assert z._op.needs == (True, False)
    z.sum().backward()
    assert y.grad is None
    np.testing.assert_array_equal(x.grad.data, [1, 1, 1])


def test_integer_and_bool_results_have_no_history():
    x = leaf(3)
    for y in (x > 1, x == 2, x.argmax(), x.astype("int32"), x.topk(2)[1]):
        assert not y.requires_grad and y.is_leaf
    with pytest.raises(DTypeError, match="int64"):
        fc.tensor([1, 2], requires_grad=True)


# ---- the walk


def test_fan_out_adds_up():
    x = leaf(3)
    y = x * 2
    (y + y * 3 + y).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [10, 10, 10])


def test_two_backwards_accumulate_and_zeroing_starts_over():
    x = leaf(2)
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [7, 7])
    x.grad = None
    (x * 5).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [5, 5])


def test_the_latest_op_is_walked_first():
    # a diamond of unequal arms: the early op must wait for both gradients
    x = leaf(2)
    y = x * 2
    long = y
    for _ in range(5):
        long = long + 1
    (y * long).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 2 * (2 * np.array([2, 4]) + 5))


@pytest.mark.parametrize(
    "build",
    [
        lambda a, b: a + b,
        lambda a, b: (a + b) + a,
        lambda a, b: F.add_act(a, b, "relu"),
        lambda a, b: F.add_act(a, a, "relu") + b,
        lambda a, b: a.reshape(3, 1).reshape(3) + b + b,
        lambda a, b: a - b,
    ],
)
def test_leaf_gradients_alias_nothing(build):
    a, b = leaf(3), leaf(3)
    gy = fc.tensor(np.ones(3, np.float32))
    build(a, b).backward(gy)
    arrays = [a.grad.data, b.grad.data, gy.data, a.data, b.data]
    for i, p in enumerate(arrays):
        for q in arrays[i + 1 :]:
            assert not np.may_share_memory(p, q)
    before = b.grad.data.copy()
    build(a, b).backward(gy)  # adds to the gradients in place
    np.testing.assert_array_equal(b.grad.data, 2 * before)
    np.testing.assert_array_equal(gy.data, [1, 1, 1])


def test_backward_of_a_leaf():
    x = leaf(2)
    gy = np.array([3, 4], np.float32)
    x.backward(gy)
    np.testing.assert_array_equal(x.grad.data, gy)
    assert not np.may_share_memory(x.grad.data, gy)


def test_one_array_wanted_by_two_inputs_and_written_later():
    # a's gradient is added to in place while b's, made in the same array, is still on its way down
    a, b = leaf(3), leaf(3)
    early = a * 1.0
    z = F.add_act(a, b * 1.0, "identity")
    (z + early).sum().backward()
    np.testing.assert_array_equal(a.grad.data, [2, 2, 2])
    np.testing.assert_array_equal(b.grad.data, [1, 1, 1])


def test_unused_outputs_get_zeros():
    x = leaf(2, 4)
    _, right = F.split(x, 2, axis=1)
    right.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [[0, 0, 1, 1]] * 2)


def test_ten_thousand_ops_do_not_recurse():
    x = leaf(1)
    y = x
    for _ in range(10_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    # and neither does freeing them
    y = leaf(1)
    for _ in range(10_000):
        y = y + 1
    assert sys.getrecursionlimit() < 10_000
    del y


def test_saved_arrays_are_freed_during_backward():
    x = leaf(4)
    probes, alive = [], []

    class Probe(Op):
        def infer(self, x):
            return (Spec(x.shape, x.dtype),), ()

        def forward(self, K, out, aux, x):
            out[0][...] = x

        def backward(self, K, gy):
            alive.append([p() is not None for p in probes])
            return (gy.copy(),)

    y = Probe()(x)
    for _ in range(3):
        y = F.tanh(y)
        probes.append(weakref.ref(y._data))
    total = y.sum()
    del y
    assert [p() is not None for p in probes] == [True] * 3
    total.backward()
    assert alive == [[False] * 3]


def test_saved_arrays_are_freed_though_the_result_is_held():
    x = leaf(4)
    y = x.exp()
    z = y.log()  # saves y
    dead = weakref.ref(y._data)
    del y
    assert dead() is not None
    z.sum().backward()
    assert dead() is None
    assert z.shape == (4,)


def test_what_backward_does_not_need_is_freed_at_once():
    x = leaf(4)
    y = x + 1
    dead = weakref.ref(y._data)
    z = y + 1  # add saves nothing
    del y
    assert dead() is None
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.ones(4))


# ---- misuse


def test_backward_twice_says_so():
    y = (leaf(2) * 2).sum()
    y.backward()
    with pytest.raises(GradientError, match="already walked and freed"):
        y.backward()


def test_backward_without_history_or_from_many_numbers():
    with pytest.raises(GradientError, match="needs no gradient"):
        fc.tensor([1.0]).backward()
    with pytest.raises(GradientError, match=r"shape \(2,\) is not a scalar"):
        (leaf(2) * 2).backward()
    with pytest.raises(GradientError, match=r"shape \(2,\) and dtype float32, got \(3,\)"):
        (leaf(2) * 2).backward(np.ones(3, np.float32))


def test_a_saved_value_overwritten_in_place_is_found():
    x = leaf(3)
    y = x.exp()  # saves y
    with fc.no_grad():
        y[...] = 0
    with pytest.raises(GradientError, match="Exp saved was overwritten in place"):
        y.sum().backward()


def test_a_write_through_a_view_is_found():
    x = leaf(4)
    y = x * x
    with fc.no_grad():
        x.reshape(2, 2)[0] = 7
    with pytest.raises(GradientError, match="overwritten"):
        y.sum().backward()


def test_a_write_to_what_nobody_saved_is_fine():
    x = leaf(3)
    y = x * 2
    with fc.no_grad():
        x[0] = 9
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [2, 2, 2])


def test_in_place_writes_under_grad():
    x = leaf(3)
    y = x * 2
    with pytest.raises(GradientError, match="made by Mul"):
        y[0] = 1
    with pytest.raises(GradientError, match="value needs a gradient"):
        fc.tensor([1.0, 2.0, 3.0])[...] = y
    y.detach()[0] = 5
    assert y.data[0] == 5


def test_an_op_without_backward_says_so():
    class Forward(Op):
        def infer(self, x):
            return (Spec(x.shape, x.dtype),), ()

        def forward(self, K, out, aux, x):
            out[0][...] = x

    with pytest.raises(GradientError, match="Forward has no gradient"):
        Forward()(leaf(1)).backward()


# ---- threads and contexts


def test_state_is_per_thread():
    inside, leave = threading.Event(), threading.Event()

    def quiet():
        with fc.no_grad(), fc.Trace() as trace:
            inside.set()
            leave.wait(10)
        return len(trace.records)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(quiet)
        inside.wait(10)
        y = leaf(2) + 1
        leave.set()
        assert other.result() == 0
    assert y.requires_grad


def test_threads_can_walk_their_own_graphs():
    def work(seed):
        x = leaf(50, value=seed)
        y = x
        for _ in range(50):
            y = y * 1.0 + 1.0
        (y * y).sum().backward()
        return x.grad.data

    with ThreadPoolExecutor(4) as pool:
        for seed, grad in enumerate(pool.map(work, range(8))):
            np.testing.assert_array_equal(grad, np.full(50, 2.0 * (seed + 50)))


def test_use_algorithm():
    x, w = leaf(1, 4, 4, 2), leaf(3, 3, 3, 2)
    with fc.Trace() as trace:
        F.conv2d(x, w)
    chosen = trace.records[0].kernel
    with fc.use_algorithm(chosen), fc.Trace() as trace:
        F.conv2d(x, w)
    assert trace.records[0].kernel == chosen
    with fc.use_algorithm("no such"), pytest.raises(AlgorithmError, match="these do: .*" + chosen):
        F.conv2d(x, w)
    with pytest.raises(ArgumentError, match="got 3"), fc.use_algorithm(3):
        pass


def test_use_backend(backend):
    x = leaf(2)
    with fc.use_backend("reference"):
        y = x * 2
    assert y._op.K.NAME == "reference"
    assert backend == (x * 2)._op.K.NAME
    with pytest.raises(ArgumentError, match="'reference'"), fc.use_backend("gpu"):
        pass


# ---- autocast: matrix products low, losses float32, element-wise the widest, gradients as the leaf


def test_autocast_policy():
    with fc.use_backend("reference"), fc.autocast("bfloat16"):
        x, w = leaf(2, 3, value=0.5), leaf(4, 3, value=0.25)
        y = F.linear(x, w)
        assert y.dtype == "bfloat16"
        assert (y + x.sum()).dtype == "float32"
        assert (y + y).dtype == "bfloat16"
        loss = F.cross_entropy(y, np.array([0, 3]))
        assert loss.dtype == "float32"
        loss.backward()
    assert x.grad.dtype == w.grad.dtype == "float32"
    rows = np.full((2, 4), 0.25)
    rows[0, 0] = rows[1, 3] = -0.75
    np.testing.assert_allclose(w.grad.data, (rows.T / 2) @ x.data, atol=2**-8)


def test_autocast_leaves_views_and_casts_alone():
    with fc.use_backend("reference"), fc.autocast("bfloat16"):
        x = leaf(2, 2)
        assert x.reshape(4).dtype == x.T.dtype == x[0].dtype == "float32"
        assert x.astype("float64").dtype == "float64"


def test_autocast_takes_half_types_only():
    with pytest.raises(DTypeError, match="float32"), fc.autocast("float32"):
        pass


# ---- meta mode


def test_meta_tensors_have_no_values():
    with fc.Trace(meta=True) as trace:
        x = leaf(2, 3)
        y = (x * 2).sum()
        assert y.is_meta and y.device == "meta" and y.shape == ()
        assert "meta, shape=(2, 3)" in repr(x)
        for read in (y.item, y.numpy, lambda: y.data, lambda: float(y), lambda: bool(y)):
            with pytest.raises(MetaError, match="no values to read"):
                read()
        y.backward()
        assert x.grad.is_meta and x.grad.shape == (2, 3)
    assert [r.name for r in trace.records] == ["Mul", "Sum"]


def test_meta_tensors_outside_their_block():
    with fc.Trace(meta=True):
        x = leaf(2)
    with pytest.raises(MetaError, match="only be used inside"):
        x + 1


def test_meta_mode_finds_the_same_misuse():
    with fc.Trace(meta=True), pytest.raises(fc.errors.ShapeError, match=r"\(2,\) and \(3,\)"):
        leaf(2) + leaf(3)


def test_activations_take_their_constants():
    x = leaf(2)
    act = Activation("leaky_relu", 0.5)
    np.testing.assert_array_equal(F.add_act(x, -2 * x, act).data, -0.5 * x.data)
    assert isinstance(x, Tensor)


def test_an_op_cannot_use_a_name_of_the_gate():
    with pytest.raises(RegistryError, match="order"):

        class Wrong(Op):
            order: int


def test_help_shows_the_layout_that_image_functions_take():
    assert "layout='NHWC'" in str(signature(F.conv2d))
    assert "layout" not in str(signature(F.relu))
