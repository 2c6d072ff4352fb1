"""conv_bn_act against conv2d, batch_norm, add and activation; the running statistics of both."""

from itertools import product

import numpy as np
import pytest

import fastconv as fc
from fastconv import functional as F
from fastconv.backend import ACTIVATIONS, Activation
from fastconv.errors import DTypeError

INPUTS = ("x", "w", "b", "gamma", "beta", "residual")
TRAINABLE = (
    INPUTS,
    ("x",),
    ("x", "residual"),
    ("residual",),
    ("w",),
    ("b",),
    ("gamma",),
    ("beta", "residual"),
    ("x", "beta"),
)
CONSTANTS = {"leaky_relu": (0.1,), "elu": (0.7,), "scaled_tanh": (1.7159, 2 / 3)}


def bn_inputs(rng):
    shapes = {
        "x": (2, 5, 6, 4),
        "w": (6, 3, 3, 2),
        "b": (6,),
        "gamma": (6,),
        "beta": (6,),
        "residual": (2, 3, 3, 6),
    }
    values = {k: rng.standard_normal(s) for k, s in shapes.items()}
    return values, rng.standard_normal(6), rng.uniform(0.5, 2, 6)


def run_fused(t, mean, var, act, training):
    return F.conv_bn_act(
        *(t["x"], t["w"], t["b"], t["gamma"], t["beta"], mean, var, t["residual"]),
        *(act, training),
        stride=2,
        padding=1,
        groups=2,
        momentum=0.3,
        eps=1e-3,
    )


def run_unfused(t, mean, var, act, training):
    z = F.conv2d(t["x"], t["w"], t["b"], stride=2, padding=1, groups=2)
    y = F.batch_norm(z, t["gamma"], t["beta"], mean, var, training, 0.3, 1e-3)
    if t["residual"] is not None:
        y = y + t["residual"]
    constants = CONSTANTS.get(act.name, ())
    return y if act.name == "identity" else getattr(F, act.name)(y, *constants)


def compare_with_parts(rng, act, training, needs, absent=()):
    values, mean0, var0 = bn_inputs(rng)
    results = []
    gy = rng.standard_normal((2, 3, 3, 6))
    for run in (run_fused, run_unfused):
        mean, var = fc.tensor(mean0), fc.tensor(var0)
        t = {
            k: None if k in absent else fc.tensor(v, requires_grad=k in needs)
            for k, v in values.items()
        }
        y = run(t, mean, var, act, training)
        y.backward(gy)
        grads = {k: a.grad.numpy() for k, a in t.items() if a is not None and a.grad is not None}
        assert set(grads) == set(needs)
        results.append({"y": y.numpy(), "mean": mean.numpy(), "var": var.numpy(), **grads})
    fused, parts = results
    for k in parts:
        top = np.abs(parts[k]).max()
        np.testing.assert_allclose(fused[k], parts[k], rtol=0, atol=1e-12 * max(top, 1), err_msg=k)
    assert np.abs(gy).min() > 0
    return fused


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_conv_bn_act_is_its_parts(name, training, backend, rng):
    act = Activation(name, *CONSTANTS.get(name, ()))
    compare_with_parts(rng, act, training, INPUTS)
    compare_with_parts(rng, act, training, ("x", "residual"))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("needs", TRAINABLE, ids="+".join)
@pytest.mark.parametrize("name", ["identity", "relu", "silu"])
def test_conv_bn_act_with_any_part_trainable(name, needs, training, backend, rng):
    compare_with_parts(rng, Activation(name), training, needs)


@pytest.mark.parametrize("absent", [("b",), ("gamma",), ("beta",), ("residual",), INPUTS[2:]])
@pytest.mark.parametrize("training, needs", list(product((False, True), (("x",), ("x", "w")))))
def test_conv_bn_act_with_parts_missing(absent, training, needs, backend, rng):
    compare_with_parts(rng, Activation("relu"), training, needs, absent)


def test_conv_bn_act_without_gradient_runs_one_kernel(rng):
    values, mean, var = bn_inputs(rng)
    t = {k: fc.tensor(v) for k, v in values.items()}
    with fc.Trace() as trace:
        run_fused(t, fc.tensor(mean), fc.tensor(var), Activation("relu"), False)
    (record,) = trace.records
    assert record.aux_bytes == 6 * 8  # the scale; z does not exist


@pytest.mark.parametrize("f", ["batch_norm", "conv_bn_act"])
def test_running_statistics(f, backend, rng):
    x = rng.standard_normal((3, 4, 5, 2)) + 7
    mean, var = fc.tensor(np.zeros(2)), fc.tensor(np.ones(2))
    if f == "batch_norm":
        F.batch_norm(fc.tensor(x), None, None, mean, var, True, 0.25)
    else:
        w = np.eye(2).reshape(2, 1, 1, 2)
        inputs = fc.tensor(x), fc.tensor(w), None, None, None, mean, var
        F.conv_bn_act(*inputs, training=True, momentum=0.25)
    flat = x.reshape(-1, 2)
    np.testing.assert_allclose(mean.numpy(), 0.25 * flat.mean(0), rtol=1e-12)
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * flat.var(0, ddof=1), rtol=1e-12)


def test_eval_leaves_running_statistics_and_saved_values_alone(rng):
    """A second eval pass between forward and backward overwrites nothing."""
    x, gamma = fc.tensor(rng.standard_normal((3, 4, 4, 2)), True), fc.tensor(np.ones(2), True)
    w = fc.tensor(rng.standard_normal((2, 3, 3, 2)))
    mean, var = fc.tensor(np.zeros(2)), fc.tensor(np.ones(2))
    y = F.batch_norm(x, gamma, None, mean, var)
    z = F.conv_bn_act(x, w, None, gamma, None, mean, var)
    F.batch_norm(x, gamma, None, mean, var)
    F.conv_bn_act(x, w, None, gamma, None, mean, var)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_array_equal(mean.numpy(), np.zeros(2))


def test_training_without_running_statistics(backend, rng):
    x = rng.standard_normal((3, 4, 5, 2))
    y = F.batch_norm(x, training=True)
    flat = x.reshape(-1, 2)
    wanted = (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    np.testing.assert_allclose(y, wanted, atol=1e-12)


def test_half_activations_keep_float32_parameters():
    half = np.zeros((2, 3, 3, 4), "float16")
    ones = np.ones(4, "float32")
    with fc.use_backend("reference"):
        assert F.batch_norm(half, ones, ones, ones, ones).dtype == np.float16
    with pytest.raises(DTypeError, match="gamma must be float32 for activations of float16"):
        F.batch_norm(half, ones.astype("float16"), ones, ones, ones)


def test_autocast_casts_x_and_w_and_updates_the_running_statistics(rng):
    values, mean, var = bn_inputs(rng)
    t = {k: fc.tensor(v.astype("float32"), True) for k, v in values.items()}
    mean, var = fc.tensor(mean.astype("float32")), fc.tensor(var.astype("float32"))
    before = mean.numpy().copy()
    with fc.use_backend("reference"), fc.autocast("float16"):
        y = run_fused(t, mean, var, Activation("relu"), True)
        y.sum().backward()
    assert y.dtype == np.float16
    assert (mean.numpy() != before).all()
    for a in t.values():
        assert a.grad.dtype == np.float32
