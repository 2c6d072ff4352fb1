"""Optimizers against their formulas in float64, groups, state, errors; schedules by hand."""

from math import inf, nan, sqrt

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.errors import (
    ArgumentError,
    DTypeError,
    LayoutError,
    ShapeError,
    StateDictError,
)
from fastconv.optim import SGD, Adam, AdamW
from fastconv.optim import lr_scheduler as schedules


def parameter(*values, dtype="float64"):
    return nn.Parameter(np.array(values, dtype))


def give(p, *values):
    p.grad = fc.tensor(np.array(values, p.dtype))


# ---- formulas, one parameter, three steps with changing gradients


GRADIENTS = [0.5, -1.0, 0.25]


def run(optimizer, p):
    for g in GRADIENTS:
        give(p, g)
        optimizer.step()
    return p.data[0]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_with_momentum(nesterov, decay):
    p = parameter(2.0)
    got = run(SGD([p], lr=0.1, momentum=0.9, weight_decay=decay, nesterov=nesterov), p)
    x, m = 2.0, None
    for g in GRADIENTS:
        g = g + decay * x
        m = g if m is None else 0.9 * m + g
        x -= 0.1 * (g + 0.9 * m if nesterov else m)
    assert got == pytest.approx(x, rel=1e-14)


def test_sgd_dampening_spares_the_first_step():
    p = parameter(2.0)
    got = run(SGD([p], lr=0.1, momentum=0.9, dampening=0.5), p)
    x, m = 2.0, None
    for g in GRADIENTS:
        m = g if m is None else 0.9 * m + 0.5 * g
        x -= 0.1 * m
    assert got == pytest.approx(x, rel=1e-14)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam(kind):
    p = parameter(2.0)
    got = run(kind([p], lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1), p)
    x, m, v = 2.0, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, 1):
        if kind is AdamW:
            x *= 1 - 0.1 * 0.1
        else:
            g = g + 0.1 * x
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        x -= 0.1 / (1 - 0.8**t) * m / (sqrt(v) / sqrt(1 - 0.9**t) + 1e-3)
    assert got == pytest.approx(x, rel=1e-13)


# ---- what is stepped


def test_parameters_without_gradient_are_left_alone_and_counted_on_their_own():
    first, second = parameter(1.0), parameter(1.0)
    optimizer = Adam([first, second], lr=0.1)
    give(first, 1.0)
    optimizer.step()
    assert second.data[0] == 1
    assert second not in optimizer.state
    give(second, 1.0)
    optimizer.step()
    assert optimizer.state[first]["step"] == 2
    assert optimizer.state[second]["step"] == 1
    # Adam's first step is lr, whatever the gradient
    assert second.data[0] == pytest.approx(0.9, abs=1e-8)


def test_groups_have_their_own_values():
    slow, fast = parameter(1.0), parameter(1.0)
    optimizer = SGD([{"params": [slow]}, {"params": fast, "lr": 1.0}], lr=0.1)
    give(slow, 1.0)
    give(fast, 0.5)
    optimizer.step()
    assert (slow.data[0], fast.data[0]) == (0.9, 0.5)
    optimizer.param_groups[0]["lr"] = 0.4
    optimizer.step()
    assert slow.data[0] == pytest.approx(0.5)
    assert "lr=0.4" in repr(optimizer)
    assert "lr=1.0" in repr(optimizer)


def test_mixed_dtypes_are_stepped_each_in_its_own():
    small, large = parameter(1.0, dtype="float32"), parameter(1.0)
    optimizer = SGD([small, large], lr=0.5)
    give(small, 1.0)
    give(large, 1.0)
    optimizer.step()
    assert (small.data[0], large.data[0]) == (0.5, 0.5)
    assert small.dtype == np.float32


def test_step_bumps_versions_so_that_backward_notices():
    linear = nn.Linear(2, 2)
    x = fc.tensor(np.ones((1, 2), "float32"), requires_grad=True)
    optimizer = SGD(linear.parameters(), lr=0.1)
    linear(x).sum().backward()
    loss = linear(x).sum()
    optimizer.step()
    with pytest.raises(fc.errors.GradientError, match="overwritten"):
        loss.backward()


def test_zero_grad():
    p = parameter(1.0)
    give(p, 1.0)
    SGD([p], lr=0.1).zero_grad()
    assert p.grad is None


def test_meta_steps_count_state_and_compute_nothing():
    with fc.Trace(meta=True) as trace:
        linear = nn.Linear(3, 4)
        optimizer = Adam(linear.parameters())
        linear(fc.tensor(np.zeros((2, 3), "float32"))).sum().backward()
        optimizer.step()
        assert trace.live_by_kind["state"] == 2 * 4 * (12 + 4)


# ---- errors


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda p: SGD([p], lr=nan), "lr must be finite and not negative, got nan"),
        (lambda p: SGD([p], lr=inf), "got inf"),
        (lambda p: SGD([p], lr=-1), "got -1"),
        (lambda p: SGD([p], momentum=-0.5), "momentum"),
        (lambda p: SGD([p], nesterov=True), "nesterov needs momentum"),
        (lambda p: SGD([p], momentum=0.9, dampening=0.1, nesterov=True), "dampening=0.1"),
        (lambda p: Adam([p], betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda p: Adam([p], eps=-1), "eps"),
        (lambda p: AdamW([p], weight_decay=nan), "weight_decay"),
        (lambda p: SGD([]), "no parameters"),
        (lambda p: SGD(nn.ReLU().parameters()), "no parameters"),
        (lambda p: SGD(p), r"pass model\.parameters\(\)"),
        (lambda p: SGD(nn.Linear(2, 2)), r"pass model\.parameters\(\)"),
        (lambda p: SGD([p, p]), "given twice"),
        (lambda p: SGD([{"params": [p]}, {"params": [p]}]), "given twice"),
        (lambda p: SGD([p * 2]), "leaf"),
        (lambda p: SGD([np.ones(2)]), "leaf"),
        (lambda p: SGD([{"params": [p], "learning_rate": 1}]), "got learning_rate"),
    ],
)
def test_wrong_arguments(build, text):
    with pytest.raises(ArgumentError, match=text):
        build(parameter(1.0))


def test_a_rate_that_became_nan_is_refused_before_anything_is_written():
    p, q = parameter(1.0), parameter(1.0)
    optimizer = SGD([{"params": [p]}, {"params": [q]}], lr=0.1)
    give(p, 1.0)
    give(q, 1.0)
    optimizer.param_groups[1]["lr"] = nan
    with pytest.raises(ArgumentError, match="lr must be finite"):
        optimizer.step()
    assert p.data[0] == q.data[0] == 1


def test_gradients_of_another_shape_or_dtype_are_refused():
    p = parameter(1.0, 2.0)
    optimizer = SGD([p], lr=0.1)
    p.grad = fc.tensor(np.ones(3))
    with pytest.raises(ShapeError, match=r"shape \(2,\) has .grad of shape \(3,\)"):
        optimizer.step()
    p.grad = fc.tensor(np.ones(2, "float32"))
    with pytest.raises(DTypeError, match="float32"):
        optimizer.step()


# ---- state


@pytest.mark.parametrize("kind", [lambda p: SGD(p, 0.1, momentum=0.9), lambda p: Adam(p, 0.1)])
def test_a_loaded_optimizer_continues_bit_for_bit(kind):
    first, second = parameter(1.0, -2.0), parameter(1.0, -2.0)
    one, two = kind([first]), kind([second])
    for _ in range(3):
        give(first, 0.5, 0.25)
        one.step()
    one.param_groups[0]["lr"] = 0.01
    second.copy_(first)
    two.load_state_dict(one.state_dict())
    assert two.param_groups[0]["lr"] == 0.01
    for p, optimizer in ((first, one), (second, two)):
        give(p, -1.0, 3.0)
        optimizer.step()
    assert np.array_equal(first.data, second.data)


def test_saved_state_is_a_copy():
    p = parameter(1.0)
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    give(p, 1.0)
    optimizer.step()
    saved = optimizer.state_dict()
    optimizer.step()
    assert saved["state"][0]["momentum_buffer"].tolist() == [1.0]
    assert saved["param_groups"][0]["params"] == [0]


def test_state_of_another_model_is_refused_and_nothing_is_loaded():
    p, q = parameter(1.0), parameter(1.0, 2.0)
    optimizer, other = Adam([p], lr=0.5), Adam([q, parameter(3.0)], lr=0.1)
    for x in other.param_groups[0]["params"]:
        give(x, *x.tolist())
    other.step()
    with pytest.raises(StateDictError) as error:
        optimizer.load_state_dict(other.state_dict())
    text = str(error.value)
    assert "groups of [2] parameters, expected [1]" in text
    assert "exp_avg has shape (2,), expected (1,)" in text
    assert "state of parameter 1, there are 1" in text
    assert optimizer.state == {}
    assert optimizer.param_groups[0]["lr"] == 0.5
    momentum = SGD([p], lr=0.1, momentum=0.9)
    give(p, 1.0)
    momentum.step()
    foreign = {k: v for k, v in momentum.state_dict().items() if k != "layout"}
    with pytest.raises(LayoutError, match="expected layout=OHWI, got layout=None"):
        momentum.load_state_dict(foreign)
    with pytest.raises(StateDictError, match="unexpected momentum_buffer"):
        optimizer.load_state_dict(momentum.state_dict())


# ---- schedules


def rates(build, steps, lr=1.0):
    optimizer = SGD([parameter(1.0)], lr=lr)
    schedule = build(optimizer)
    seen = [schedule.get_last_lr()[0]]
    for _ in range(steps):
        schedule.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def test_step_and_multi_step():
    assert rates(lambda o: schedules.StepLR(o, 2, 0.5), 4) == [1, 1, 0.5, 0.5, 0.25]
    milestones = rates(lambda o: schedules.MultiStepLR(o, [3, 1], 0.5), 4)
    assert milestones == [1, 0.5, 0.5, 0.25, 0.25]


def test_linear_warm_up():
    assert rates(lambda o: schedules.LinearLR(o, 0.5, 1.0, 2), 3) == [0.5, 0.75, 1, 1]


def test_cosine_with_warm_up():
    seen = rates(lambda o: schedules.CosineAnnealingLR(o, 6, 0.2, warmup=2, warmup_factor=0.5), 6)
    assert seen == pytest.approx([0.5, 0.75, 1, 0.2 + 0.4 * (1 + sqrt(0.5)), 0.6, 0.3171573, 0.2])


def test_a_schedule_continues_from_its_state():
    optimizer = SGD([parameter(1.0)], lr=1.0)
    schedule = schedules.StepLR(optimizer, 2, 0.5)
    for _ in range(3):
        schedule.step()
    fresh = SGD([parameter(1.0)], lr=1.0)
    again = schedules.StepLR(fresh, 2, 0.5)
    again.load_state_dict(schedule.state_dict())
    assert fresh.param_groups[0]["lr"] == 0.5
    again.step()
    assert fresh.param_groups[0]["lr"] == 0.25


def test_reduce_on_plateau():
    optimizer = SGD([parameter(1.0)], lr=1.0)
    schedule = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.2)
    seen = []
    for loss in (5, 4, 4, 4, 3, 3, 3, 3, 3, 3):
        schedule.step(fc.tensor(float(loss)))
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]
    again = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    again.load_state_dict(schedule.state_dict())
    assert again.best == 3


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda o: schedules.StepLR(o, 0), "step_size"),
        (lambda o: schedules.LinearLR(o, total_iters=0), "total_iters"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: schedules.CosineAnnealingLR(o, 5, warmup=5), r"\[0, T_max=5\), got 5"),
        (lambda o: schedules.ReduceLROnPlateau(o, mode="low"), "mode"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1.0), "factor"),
        (lambda o: schedules.ReduceLROnPlateau(o, threshold_mode="x"), "threshold_mode"),
    ],
)
def test_wrong_schedules(build, text):
    with pytest.raises(ArgumentError, match=text):
        build(SGD([parameter(1.0)], lr=0.1))
