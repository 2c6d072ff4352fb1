"""What the shared rules do not say: operators, views and writes, drawn shapes and keys, dropout."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastconv as fc
from fastconv.backend import philox
from fastconv.core import Tensor

F = fc.functional


# ---- operators


def test_operators_are_numpys():
    a, b = np.array([1.0, -2.0, 3.0], np.float32), np.array([2.0, 2.0, -1.0], np.float32)
    x, y = fc.tensor(a), fc.tensor(b)
    pairs = [
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / y, a / b), (x**2, a**2),
        (2 + x, 2 + a), (2 - x, 2 - a), (2 * x, 2 * a), (2 / x, 2 / a), (2**x, 2**a),
        (b + x, b + a), (b - x, b - a), (b / x, b / a), (-x, -a), (abs(x), abs(a)),
        (x == y, a == b), (x != y, a != b), (x < y, a < b), (x <= 1, a <= 1), (x > y, a > b),
        (x <= 3, a <= 3), (np.float32(2) * x, 2 * a), (x.T, a.T), (x @ y, a @ b),
    ]  # fmt: skip
    for ours, numpys in pairs:
        assert isinstance(ours, Tensor)
        np.testing.assert_array_equal(ours.data, numpys)
        assert ours.dtype == numpys.dtype


def test_numbers_take_the_tensors_dtype():
    for dtype in ("float64", "float32", "float16", "bfloat16", "int64", "uint8"):
        x = fc.tensor([1, 2], dtype=dtype)
        with fc.use_backend("reference"):
            assert (x + 1).dtype == (2 * x).dtype == (x + np.int64(1)).dtype == dtype
    assert (fc.tensor([1.0]) * np.float64(0.5)).dtype == "float32"


def test_comparison_leaves_hashing_alone():
    x, y = fc.tensor([1.0]), fc.tensor([1.0])
    assert len({x, y}) == 2 and {x: 1}[x] == 1


def test_accuracy_as_people_write_it():
    logits = fc.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    labels = fc.tensor([1, 0, 0])
    right = logits.argmax(axis=1) == labels
    assert right.sum().item() == 2
    assert right.mean().dtype == "float32"
    assert right.mean().item() == np.float32(2 / 3)
    assert float(labels.astype("int32").mean()) == np.float32(1 / 3)


def test_the_mean_of_nothing_is_nan():
    assert np.isnan(fc.tensor(np.zeros((0, 3))).mean().item())
    assert np.isnan(fc.tensor(np.zeros((0, 3))).var(axis=0).data).all()


def test_equal_elements_share_the_gradient_of_max():
    x = fc.tensor([[1.0, 3.0, 3.0], [5.0, 2.0, 1.0]], requires_grad=True)
    x.max(axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [[0, 0.5, 0.5], [1, 0, 0]])
    a, b = fc.tensor([1.0, 2.0], requires_grad=True), fc.tensor([1.0, 3.0], requires_grad=True)
    F.maximum(a, b).sum().backward()
    np.testing.assert_array_equal(a.grad.data, [0.5, 0])
    np.testing.assert_array_equal(b.grad.data, [0.5, 1])


def test_pow_at_zero():
    x = fc.tensor([0.0, 0.0, 2.0], requires_grad=True)
    e = fc.tensor([0.0, 1.0, 3.0], requires_grad=True)
    F.pow(x, e).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [0, 1, 12])
    np.testing.assert_allclose(e.grad.data, [0, 0, 8 * np.log(2)], rtol=1e-6)


def test_where_stops_what_it_did_not_take():
    x = fc.tensor([-1.0, 4.0], requires_grad=True)
    with np.errstate(invalid="ignore"):
        root = x.sqrt()
    fc.where(x > 0, root, 0.0).sum().backward()
    assert x.grad.data[1] == 0.25  # and not NaN from the other branch's element


def test_ties_of_topk_come_in_order_and_nan_first():
    values, indices = fc.tensor([1.0, 3.0, 3.0, np.nan, 3.0]).topk(4)
    np.testing.assert_array_equal(indices.data, [3, 1, 2, 4])
    np.testing.assert_array_equal(values.data, [np.nan, 3, 3, 3])


# ---- views and writes


def test_which_indexing_is_a_view():
    x = fc.tensor(np.zeros((4, 5, 6)))
    for key in (0, slice(1, 3), (2, slice(1, 4)), (1, 2, slice(3, 5)), ..., None, (0, 0, 0)):
        assert np.shares_memory(x[key].data, x.data), key
    for key in ((slice(None), 0), (slice(1, 3), slice(1, 2)), slice(None, None, 2), [0]):
        assert not np.shares_memory(x[key].data, x.data), key
        assert x[key].data.flags.c_contiguous


def test_writes():
    x = fc.tensor(np.zeros((3, 4)))
    version = x._buffer.version
    x[1] = 2
    x[:, ::2] = fc.tensor([7.0, 8.0])
    x[2, 3] = np.float32(5)
    wanted = np.zeros((3, 4))
    wanted[1] = 2
    wanted[:, ::2] = [7, 8]
    wanted[2, 3] = 5
    np.testing.assert_array_equal(x.data, wanted)
    assert x._buffer.version == version + 3
    x[...] = 1
    np.testing.assert_array_equal(x.data, np.ones((3, 4)))


def test_writes_in_meta_mode():
    with fc.Trace(meta=True):
        x = fc.tensor(np.zeros((3, 4)))
        x[1] = 2
        with pytest.raises(fc.errors.ShapeError):
            x[1] = np.zeros(3)
        assert x._buffer.version == 1


def test_a_tensor_can_be_walked_and_unpacked():
    first, second = fc.tensor([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(second.data, [3, 4])
    assert first.shape == (2,)


# ---- drawn shapes and keys


@settings(deadline=None, max_examples=60)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4))
def test_any_broadcast(drawn):
    (a, b), result = drawn.input_shapes, drawn.result_shape
    x = fc.tensor(np.arange(np.prod(a, dtype=int), dtype=float).reshape(a), requires_grad=True)
    y = fc.tensor(np.ones(b), requires_grad=True)
    z = x * y
    assert z.shape == result
    z.backward(np.ones(result))
    count = int(np.prod(result, dtype=int))
    assert x.grad.shape == a and y.grad.shape == b
    assert x.grad.data.sum() == count
    np.testing.assert_array_equal(y.grad.data.sum(), np.broadcast_to(x.data, result).sum())


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_basic_key(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    a = np.arange(np.prod(shape), dtype=float).reshape(shape)
    check_key(a, key, data)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_integer_arrays(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    a = np.arange(np.prod(shape), dtype=float).reshape(shape)
    block = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    entry = st.sampled_from(["array", "slice", "int"])
    kinds = data.draw(st.lists(entry, min_size=1, max_size=len(shape)))
    key = []
    for n, kind in zip(shape, kinds):
        if kind == "array":
            key.append(data.draw(hnp.arrays(np.int64, block, elements=st.integers(-n, n - 1))))
        else:
            key.append(data.draw(st.slices(n) if kind == "slice" else st.integers(-n, n - 1)))
    for _ in range(data.draw(st.integers(0, 1))):
        key.insert(data.draw(st.integers(0, len(key))), None)
    check_key(a, tuple(key), data)


def check_key(a, key, data):
    wanted = a[key]
    x = fc.tensor(a, requires_grad=True)
    y = x[key]
    np.testing.assert_array_equal(y.data, wanted)
    assert y.data.flags.c_contiguous
    if wanted.ndim and wanted.size:
        view = np.shares_memory(wanted, a) and wanted.flags.c_contiguous
        assert np.shares_memory(y.data, x.data) == view
    gy = np.arange(1.0, wanted.size + 1).reshape(wanted.shape)
    y.backward(gy)
    gx = np.zeros_like(a)
    np.add.at(gx, key, gy)
    np.testing.assert_array_equal(x.grad.data, gx)
    with fc.Trace(meta=True):
        assert fc.tensor(a)[key].shape == wanted.shape


# ---- dropout


def test_dropout_is_its_counter(backend):
    x = fc.tensor(np.ones((30, 50)), requires_grad=True)
    fc.manual_seed(11)
    y = F.dropout(x, 0.25)
    keep = philox.uniform(11, 0, x.size).reshape(x.shape) >= 0.25
    np.testing.assert_array_equal(y.data, keep / 0.75)
    y.backward(np.full(x.shape, 3.0))
    np.testing.assert_array_equal(x.grad.data, keep * 3.0 / 0.75)
    assert not np.array_equal(F.dropout(x, 0.25).data, y.data)  # the next call draws anew
    fc.manual_seed(11)
    np.testing.assert_array_equal(F.dropout(x, 0.25).data, y.data)


def test_drop_path_draws_per_sample(backend):
    x = fc.tensor(np.ones((200, 2, 3, 2), np.float32))
    y = F.drop_path(x, 0.5).data.reshape(200, -1)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0.0, 2.0}


def test_no_dropout_is_the_tensor_itself():
    x = fc.tensor(np.ones((2, 3)))
    before = fc.core.random_state()
    for y in (F.dropout(x, 0.5, training=False), F.dropout(x, 0), F.drop_path(x, 0.5, False)):
        assert y is x
    assert fc.core.random_state() == before


def test_dropout_saves_nothing():
    with fc.Trace() as trace:
        F.dropout(fc.tensor(np.ones(1000), requires_grad=True), 0.5)
    assert trace.saved_bytes == 0 and trace.records[0].aux_bytes == 0
