"""The spatial ops: shapes, MACs, what is kept for backward, layouts, values worth saying.

Values, gradients, adjointness and meta traces of all of them are tested by tests/test_ops.py on the
cases of tests/spatial_cases.py and tests/conv_cases.py.
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv.errors import GradientError

C3_SIZES = (3,) * 6 + (4,) * 9 + (6,)  # LeCun et al. 1998, table I: inputs per map of C3


def zeros(*shape, dtype="float32", grad=False):
    return fc.tensor(np.zeros(shape, dtype), requires_grad=grad)


def record_of(f, *shapes, needs=None, **kwargs):
    """The Record of the only op that f runs on tensors of these shapes, in a meta trace."""
    with fc.Trace(meta=True) as trace:
        needs = [True] * len(shapes) if needs is None else needs
        xs = [None if s is None else zeros(*s, grad=n) for s, n in zip(shapes, needs, strict=True)]
        f(*xs, **kwargs)
    (record,) = trace.records
    return record


def c3_table():
    rows = [tuple((k + i) % 6 for i in range(n)) for k, n in enumerate(C3_SIZES)]
    return tuple(rows)


# ---- shapes and multiply-accumulates

SHAPES = [
    # function, shapes, arguments, output, macs, backward macs / macs
    ("conv2d", ((2, 9, 8, 4), (6, 3, 3, 2)), {"groups": 2}, (2, 7, 6, 6), 2 * 42 * 6 * 18, 2),
    ("conv2d", ((1, 224, 224, 3), (64, 7, 7, 3)), {"stride": 2, "padding": 3},
     (1, 112, 112, 64), 118_013_952, 2),  # the stem of ResNet
    ("conv2d_input_grad", ((2, 7, 6, 6), (6, 3, 3, 4)), {"x_shape": (2, 9, 8, 4)},
     (2, 9, 8, 4), 2 * 42 * 6 * 36, 2),
    ("conv2d_weight_grad", ((2, 9, 8, 4), (2, 7, 6, 6)), {"w_shape": (6, 3, 3, 4)},
     (6, 3, 3, 4), 2 * 42 * 6 * 36, 2),
    ("conv_transpose2d", ((1, 5, 4, 8), (8, 3, 3, 6)), {"stride": 2, "output_padding": 1},
     (1, 12, 10, 6), 5 * 4 * 8 * 9 * 6, 2),
    ("conv1d", ((2, 10, 4), (6, 3, 4)), {"stride": 2}, (2, 4, 6), 2 * 4 * 6 * 12, 2),
    ("linear", ((2, 3, 7), (5, 7)), {}, (2, 3, 5), 6 * 35, 2),
    ("matmul", ((2, 1, 3, 4), (5, 4, 6)), {}, (2, 5, 3, 6), 10 * 3 * 4 * 6, 2),
    ("matmul", ((4,), (4,)), {}, (), 4, 2),
    ("partial_conv2d", ((1, 14, 14, 6), (60, 5, 5), (16,)), {"table": c3_table()},
     (1, 10, 10, 16), 150_000, 2),  # C3 of LeNet-5
    ("trainable_subsampling", ((1, 28, 28, 6), (6,), (6,)), {}, (1, 14, 14, 6), 0, 0),
    ("rbf", ((5, 84), (10, 84)), {}, (5, 10), 0, 0),
    ("max_pool2d", ((1, 112, 112, 64),), {"kernel_size": 3, "stride": 2, "padding": 1},
     (1, 56, 56, 64), 0, 0),
    ("max_pool2d", ((1, 6, 5, 1),), {"kernel_size": 3, "stride": 2, "ceil_mode": True},
     (1, 3, 2, 1), 0, 0),
    ("avg_pool2d", ((1, 7, 7, 2),), {"kernel_size": 2}, (1, 3, 3, 2), 0, 0),
    ("avg_pool2d", ((1, 7, 7, 2),), {"kernel_size": 3, "stride": 2, "padding": "same"},
     (1, 4, 4, 2), 0, 0),
    ("adaptive_avg_pool2d", ((2, 7, 9, 3),), {"output_size": (2, 4)}, (2, 2, 4, 3), 0, 0),
    ("adaptive_max_pool2d", ((2, 7, 9, 3),), {"output_size": 2}, (2, 2, 2, 3), 0, 0),
    ("global_avg_pool2d", ((2, 7, 9, 3),), {}, (2, 3), 0, 0),
    ("resize", ((2, 7, 9, 3),), {"scale_factor": (2, 0.5)}, (2, 14, 4, 3), 0, 0),
    ("scale_channels", ((2, 7, 9, 3), (2, 1, 1, 3)), {}, (2, 7, 9, 3), 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("name, shapes, arguments, y, macs, ratio", SHAPES)
def test_shape_and_macs(name, shapes, arguments, y, macs, ratio):
    record = record_of(getattr(F, name), *shapes, **arguments)
    assert record.outputs == ((y, np.dtype("float32")),)
    assert record.macs == macs
    assert record.backward_macs == ratio * macs


def test_c3_of_lenet_has_as_many_parameters_as_its_table():
    table = c3_table()
    assert sum(map(len, table)) * 25 + len(table) == 1516
    record = record_of(F.partial_conv2d, (1, 14, 14, 6), (60, 5, 5), (16,), table=table)
    # 25 products and, as the paper counts, one bias for each of 16x100 outputs
    assert record.macs + 16 * 100 == 151_600


def test_partial_conv2d_with_a_complete_table_is_conv2d(backend, rng):
    x, w, b = (rng.standard_normal(s) for s in ((2, 6, 7, 3), (4, 3, 3, 3), (4,)))
    partial = F.partial_conv2d(
        x, w.transpose(0, 3, 1, 2).reshape(12, 3, 3), b, ((0, 1, 2),) * 4, padding=1
    )
    np.testing.assert_array_equal(partial, F.conv2d(x, w, b, padding=1))


# ---- what is kept for backward

X = (2, 6, 6, 4)  # 288 floats
KEPT = [
    # function, shapes, which need a gradient, arguments, bytes kept
    ("conv2d", (X, (8, 3, 3, 4)), (True, False), {}, 8 * 36 * 4),  # w
    ("conv2d", (X, (8, 3, 3, 4)), (False, True), {}, 288 * 4),  # x
    ("conv2d", (X, (8, 3, 3, 4), (8,)), (False, False, True), {}, 0),
    ("linear", ((3, 5), (2, 5), (2,)), (False, False, True), {}, 0),
    ("conv_transpose2d", (X, (4, 3, 3, 2)), (True, False), {}, 72 * 4),
    ("max_pool2d", (X,), (True,), {"kernel_size": 2}, 72),  # one byte per output
    ("max_pool2d", (X,), (False,), {"kernel_size": 2}, 0),
    ("avg_pool2d", (X,), (True,), {"kernel_size": 2}, 0),
    ("adaptive_avg_pool2d", (X,), (True,), {"output_size": 2}, 0),
    ("adaptive_max_pool2d", (X,), (True,), {"output_size": 3}, 72 * 4),
    ("global_avg_pool2d", (X,), (True,), {}, 0),
    ("resize", (X,), (True,), {"size": 9}, 0),
    ("scale_channels", (X, (2, 1, 1, 4)), (True, False), {}, 8 * 4),
    ("trainable_subsampling", (X, (4,), (4,)), (True, True, True), {}, 72 * 4 + 4 * 4),
    ("trainable_subsampling", (X, (4,), (4,)), (False, False, True), {}, 0),
    # x, gamma; beta, as the result is made again from them; mean and 1/std
    ("batch_norm", (X, (4,), (4,), (4,), (4,)), (1, 1, 1, 0, 0), {"training": True},
     (288 + 4 + 4 + 8) * 4),
    ("batch_norm", (X, (4,), (4,), (4,), (4,)), (0, 0, 1, 0, 0), {"training": True}, 8 * 4),
    ("batch_norm", (X, (4,), (4,), (4,), (4,)), (1, 0, 0, 0, 0), {}, (4 + 4) * 4),
    ("layer_norm", (X, (4,), (4,)), (0, 0, 1), {}, 2 * 72 * 4),  # mean and 1/std per position
]  # fmt: skip


@pytest.mark.parametrize("name, shapes, needs, arguments, nbytes", KEPT)
def test_no_more_is_kept_than_backward_reads(name, shapes, needs, arguments, nbytes):
    record = record_of(getattr(F, name), *shapes, needs=[bool(n) for n in needs], **arguments)
    assert sum(s.nbytes for s in record.saved) == nbytes
    if not any(needs):
        assert record.aux_bytes == 0


def test_max_pool2d_keeps_a_byte_per_output_while_positions_fit(backend):
    x = np.zeros((1, 17, 17, 1))
    x[0, 16, 15] = 1  # position 287 of the 17x17 window
    for size, nbytes in ((16, 1), (17, 4)):
        record = record_of(F.max_pool2d, x.shape, kernel_size=size, stride=17)
        assert sum(s.nbytes for s in record.saved) == nbytes
    t = fc.tensor(x, requires_grad=True)
    F.max_pool2d(t, 17).backward(np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(t.grad.numpy(), x)


def conv_bn_act_record(needs, act, training, residual=True):
    """Trace of x (2,6,6,4), w (5,3,3,4): z and y (2,6,6,5)."""
    shapes = (X, (5, 3, 3, 4), (5,), (5,), (5,), (5,), (5,), (2, 6, 6, 5) if residual else None)
    flags = [name in needs for name in ("x", "w", "b", "gamma", "beta", "", "", "residual")]
    f = F.conv_bn_act
    return record_of(f, *shapes, needs=flags, act=act, training=training, padding=1)


def test_conv_bn_act_keeps_what_its_mode_needs():
    z, x, w = 360 * 4, 288 * 4, 180 * 4
    everything = ("x", "w", "b", "gamma", "beta", "residual")

    def kept(*arguments):
        return sum(s.nbytes for s in conv_bn_act_record(*arguments).saved)

    # x, w, gamma; z, mean, 1/std; y
    assert kept(everything, "relu", True) == x + w + 5 * 4 + z + 2 * 5 * 4 + z
    assert kept(everything, None, True) == x + w + 5 * 4 + z + 2 * 5 * 4
    # silu needs its input again: beta and the residual instead of y
    assert kept(everything, "silu", True) == x + w + 2 * 5 * 4 + z + 2 * 5 * 4 + z
    # folded: w, scale; for relu y, for silu its input
    assert kept(("x",), None, False) == w + 5 * 4
    assert kept(("x",), "relu", False) == w + 5 * 4 + z
    assert kept(("x", "residual"), "silu", False) == w + 5 * 4 + z
    assert kept((), "silu", False) == 0
    macs = 2 * 36 * 180
    assert conv_bn_act_record(everything, "relu", True).macs == macs
    assert conv_bn_act_record(everything, "relu", True).backward_macs == 2 * macs
    assert conv_bn_act_record(("x", "gamma"), "relu", False).backward_macs == macs


# ---- an overwritten value


def overwritten(f, i, *shapes, grads=None, **kwargs):
    rng = np.random.default_rng(0)
    grads = [True] * len(shapes) if grads is None else grads
    xs = [fc.tensor(rng.uniform(0.5, 2, s), bool(g)) for s, g in zip(shapes, grads, strict=True)]
    y = f(*xs, **kwargs)
    with fc.no_grad():
        (y if i is None else xs[i]).copy_(np.ones((1,)))
    y.sum().backward()


OVERWRITES = [
    # function, which input, shapes, arguments, gradients
    ("conv2d", 0, (X, (2, 3, 3, 4)), {}, None),
    ("conv2d", 1, (X, (2, 3, 3, 4)), {}, None),
    ("conv1d", 0, ((2, 5, 3), (2, 3, 3)), {}, None),
    ("conv_transpose2d", 1, (X, (4, 3, 3, 2)), {}, None),
    ("conv2d_input_grad", 0, ((2, 4, 4, 2), (2, 3, 3, 4)), {"x_shape": X}, None),
    ("conv2d_weight_grad", 1, (X, (2, 4, 4, 2)), {"w_shape": (2, 3, 3, 4)}, None),
    ("linear", 0, ((3, 4), (2, 4)), {}, None),
    ("matmul", 1, ((3, 4), (4, 2)), {}, None),
    ("partial_conv2d", 1, (X, (3, 3, 3), (2,)), {"table": ((0, 3), (1,))}, None),
    ("trainable_subsampling", 1, (X, (4,), (4,)), {}, None),
    ("rbf", 1, ((3, 4), (2, 4)), {}, None),
    ("scale_channels", 0, (X, (2, 4)), {}, None),
    ("local_response_norm", 0, (X,), {"size": 3}, None),
    ("layer_norm", 1, (X, (4,), (4,)), {}, None),
    ("batch_norm", 0, (X, *[(4,)] * 4), {"training": True}, (1, 1, 1, 0, 0)),
    ("batch_norm", 3, (X, *[(4,)] * 4), {}, (1, 1, 1, 0, 0)),
    ("conv_bn_act", 1, (X, (2, 3, 3, 4), *[(2,)] * 5), {}, (1, 0, 0, 0, 0, 0, 0)),
    ("conv_bn_act", None, (X, (2, 3, 3, 4), *[(2,)] * 5), {"act": "relu"}, (1, 0, 0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize("name, i, shapes, kwargs, grads", OVERWRITES)
def test_overwritten_value(name, i, shapes, kwargs, grads):
    with pytest.raises(GradientError, match=r"was overwritten in place \(version 0, now 1\)"):
        overwritten(getattr(F, name), i, *shapes, grads=grads, **kwargs)


@pytest.mark.parametrize(
    "name, i, shapes, kwargs",
    [
        ("max_pool2d", 0, (X,), {"kernel_size": 2}),
        ("avg_pool2d", 0, (X,), {"kernel_size": 2}),
        ("trainable_subsampling", 0, (X, (4,), (4,)), {}),
        ("layer_norm", 2, (X, (4,), (4,)), {}),
        ("resize", 0, (X,), {"size": 3}),
    ],
)
def test_what_is_not_kept_may_be_overwritten(name, i, shapes, kwargs):
    overwritten(getattr(F, name), i, *shapes, **kwargs)


# ---- layouts


@pytest.mark.parametrize(
    "name, shapes, kwargs",
    [
        ("conv2d", (X, (8, 3, 3, 4), (8,)), {"stride": 2}),
        ("conv_transpose2d", (X, (4, 3, 3, 8), (8,)), {}),
        ("max_pool2d", (X,), {"kernel_size": 2}),
        ("avg_pool2d", (X,), {"kernel_size": 3}),
        ("adaptive_avg_pool2d", (X,), {"output_size": 3}),
        ("adaptive_max_pool2d", (X,), {"output_size": 3}),
        ("global_avg_pool2d", (X,), {}),
        ("batch_norm", (X, (4,), (4,)), {"training": True}),
        ("conv_bn_act", (X, (8, 3, 3, 4), *[(8,)] * 5, (2, 4, 4, 8)), {}),
        ("local_response_norm", (X,), {"size": 3}),
        ("trainable_subsampling", (X, (4,), (4,)), {}),
        ("scale_channels", (X, (2, 1, 1, 4)), {}),
        ("resize", (X,), {"size": (9, 4)}),
    ],
)
def test_layout_nchw(name, shapes, kwargs, rng):
    f = getattr(F, name)
    arrays = [rng.uniform(0.5, 2, s) for s in shapes]
    theirs = [a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for a in arrays]
    y, z = f(*arrays, **kwargs), f(*theirs, layout="NCHW", **kwargs)
    np.testing.assert_array_equal(z, y.transpose(0, 3, 1, 2) if y.ndim == 4 else y)


# ---- values worth saying


def test_local_response_norms_differ_by_the_window():
    x = np.full((1, 1, 1, 3), 2.0)
    # the middle channel: three squares of 2 are 12
    torch_like = F.local_response_norm(x, 3, alpha=0.5, beta=1.0, k=1.0)[0, 0, 0, 1]
    paper = F.paper_local_response_norm(x, 3, alpha=0.5, beta=1.0, k=1.0)[0, 0, 0, 1]
    assert torch_like == pytest.approx(2 / (1 + 0.5 / 3 * 12))
    assert paper == pytest.approx(2 / (1 + 0.5 * 12))


def test_rbf_near_a_code_loses_nothing(backend):
    w = np.full((1, 84), 1000.0, "float32")
    x = w + np.float32(0.125)
    assert F.rbf(x, w)[0, 0] == 84 / 64


def test_max_pool2d_of_nothing_but_minus_infinity(backend):
    x = np.full((1, 2, 2, 1), -np.inf)
    assert F.max_pool2d(x, 2)[0, 0, 0, 0] == -np.inf


def test_matmul_operator_takes_arrays(backend, rng):
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
    np.testing.assert_allclose((fc.tensor(a) @ fc.tensor(b)).numpy(), a @ b, rtol=1e-12, atol=1e-12)


def test_forced_algorithm_reaches_every_convolution(backend, rng):
    name = {"reference": "reference", "cpu": "im2col"}[backend]
    x, w = fc.tensor(rng.standard_normal(X)), fc.tensor(rng.standard_normal((4, 3, 3, 4)))
    with fc.Trace() as trace, fc.use_algorithm(name):
        y = F.conv2d(x, w)
        F.conv2d_input_grad(y, w, X)
        F.conv2d_weight_grad(x, y, w.shape)
        F.conv_transpose2d(x, w)
        F.conv_bn_act(x, w, None, None, None, None, None, training=True)
    assert [r.kernel for r in trace.records] == [name] * 5
