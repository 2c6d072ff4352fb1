"""out=: the same values as without it, in the caller's array; refused, it is left alone."""

import inspect

import numpy as np
import pytest

import fastconv as fc
import fastconv.functional as F
from fastconv.core import FUNCTIONS
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from tests.places import EVERYWHERE


def floats(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape, np.float32)


X, W, B = floats(2, 9, 7, 8), floats(16, 3, 3, 8), floats(16)
GY = floats(2, 9, 7, 16)
IMAGES = {
    "conv2d": lambda **o: F.conv2d(X, W, B, padding=1, **o),
    "conv2d_input_grad": lambda **o: F.conv2d_input_grad(GY, W, X.shape, padding=1, **o),
    "conv2d_weight_grad": lambda **o: F.conv2d_weight_grad(X, GY, W.shape, padding=1, **o),
    "conv_transpose2d": lambda **o: F.conv_transpose2d(GY, W, stride=2, **o),
    "max_pool2d": lambda **o: F.max_pool2d(X, 3, 2, **o),
    "avg_pool2d": lambda **o: F.avg_pool2d(X, 2, **o),
    "adaptive_avg_pool2d": lambda **o: F.adaptive_avg_pool2d(X, 3, **o),
    "adaptive_max_pool2d": lambda **o: F.adaptive_max_pool2d(X, 3, **o),
    "global_avg_pool2d": lambda **o: F.global_avg_pool2d(X, **o),
    "batch_norm": lambda **o: F.batch_norm(X, B[:8], B[8:], training=True, **o),
}
CALLS = IMAGES | {
    "conv1d": lambda **o: F.conv1d(X[0], W[:, :, 0], padding="same", **o),
    "linear": lambda **o: F.linear(X[0, 0], W[:, 0, 0], B, **o),
}


def test_the_list_is_whole():
    takes = {name for name, f in FUNCTIONS.items() if "out" in inspect.signature(f).parameters}
    assert takes == set(CALLS)


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("name", CALLS)
def test_the_same_bits_in_the_array_given(name, backend):
    with fc.use_backend(backend):
        expected = CALLS[name]()
        out = np.full_like(expected, np.nan)
        assert CALLS[name](out=out) is out
        np.testing.assert_array_equal(out, expected)
        # asked for once, not for what comes later
        assert CALLS[name]() is not out


def in_nchw(name):
    to, back = (0, 3, 1, 2), lambda a: np.ascontiguousarray(a.transpose(0, 3, 1, 2))
    x, w, gy = back(X), back(W), back(GY)
    shape = lambda s: tuple(s[i] for i in to)  # noqa: E731
    return {
        "conv2d": lambda **o: F.conv2d(x, w, B, padding=1, **o),
        "conv2d_input_grad": lambda **o: F.conv2d_input_grad(gy, w, shape(X.shape), 1, 1, **o),
        "conv2d_weight_grad": lambda **o: F.conv2d_weight_grad(x, gy, shape(W.shape), 1, 1, **o),
        "max_pool2d": lambda **o: F.max_pool2d(x, 3, 2, **o),
        "batch_norm": lambda **o: F.batch_norm(x, B[:8], B[8:], training=True, **o),
    }[name]


@pytest.mark.parametrize("name", ["conv2d", "conv2d_input_grad", "conv2d_weight_grad",
                                  "max_pool2d", "batch_norm"])  # fmt: skip
def test_in_nchw(name):
    call = in_nchw(name)
    expected = CALLS[name]().transpose(0, 3, 1, 2)
    out = np.full_like(expected, np.nan, order="C", subok=False)
    assert call(layout="NCHW", out=out) is out
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(ShapeError, match=rf"{name} \(shapes as NHWC\): out must have shape"):
        call(layout="NCHW", out=out[..., :-1].copy())


def conv(out, x=X):
    return F.conv2d(x, W, B, padding=1, out=out)


def refused(error, text, call, out):
    before = out.copy()
    with pytest.raises(error, match=text):
        call(out)
    np.testing.assert_array_equal(out, before)


def test_what_does_not_fit_is_refused_and_left_alone():
    refused(ShapeError, r"out must have shape \(2, 9, 7, 16\), got \(2, 9, 7, 8\)", conv, X.copy())
    refused(DTypeError, "out must be float32, got float64", conv, np.zeros(GY.shape))
    refused(ArgumentError, "C-contiguous", conv, np.zeros((2, 9, 7, 32), np.float32)[..., ::2])
    locked = np.zeros_like(GY)
    locked.flags.writeable = False
    refused(ArgumentError, "read-only", conv, locked)
    x = X.copy()
    refused(ArgumentError, "overlaps an input", lambda out: F.batch_norm(
        out, training=True, out=out), x)  # fmt: skip


def test_tensors_lists_and_other_functions_are_refused():
    y = np.zeros_like(GY)
    with pytest.raises(ArgumentError, match="conv2d: out= goes with NumPy or CuPy arrays only"):
        F.conv2d(fc.tensor(X), W, padding=1, out=y)
    with pytest.raises(ArgumentError, match="not with Tensors"):
        F.conv2d(X, W, padding=1, out=fc.tensor(y))
    with pytest.raises(ArgumentError, match="conv2d: out must be an array, got list"):
        F.conv2d(X, W, padding=1, out=[1.0])
    with pytest.raises(ArgumentError, match="relu: takes no out="):
        F.relu(X, out=y)
    with (
        fc.Trace(meta=True),
        pytest.raises(ArgumentError, match=r"no meaning inside `with fc.Trace\(meta=True\)`"),
    ):
        F.conv2d(X, W, padding=1, out=y)
    assert not y.any()


def test_after_an_error_the_next_call_has_an_array_of_its_own():
    y = np.zeros_like(GY)
    with pytest.raises(ShapeError):
        F.conv2d(X[..., :4], W, padding=1, out=y)
    assert conv(None) is not y
    assert not y.any()


def test_statistics_stay_when_out_is_refused():
    for layout, x in (("NHWC", X), ("NCHW", np.ascontiguousarray(X.transpose(0, 3, 1, 2)))):
        mean, var = np.zeros(8, np.float32), np.ones(8, np.float32)
        with pytest.raises(ShapeError):
            F.batch_norm(
                x, None, None, mean, var, training=True, layout=layout,
                out=np.empty((2, 9, 7, 9), np.float32),
            )  # fmt: skip
        assert not mean.any() and (var == 1).all()


def test_autocast_does_not_put_the_cast_input_there():
    w = floats(8, 3, 3, 8)  # the result has the shape of x
    with fc.use_backend("reference"), fc.autocast("bfloat16"):
        expected = F.conv2d(X, w, padding=1)
        out = np.zeros_like(expected)
        F.conv2d(X, w, padding=1, out=out)
    np.testing.assert_array_equal(out, expected)


def test_with_a_trace():
    y = np.empty_like(GY)
    with fc.Trace() as trace:
        conv(y)
    assert [r.name for r in trace.records] == ["Conv2d"]
    np.testing.assert_array_equal(y, conv(None))
