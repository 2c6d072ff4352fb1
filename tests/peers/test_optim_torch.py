"""Optimizers and schedules step by step against PyTorch's."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.optim import lr_scheduler as schedules

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

STEPS = 20
SHAPES = [(8, 3, 3, 4), (8,), (5, 16), (1,)]

CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd decay": ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}),
    "dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam decay": ("Adam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-6}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw decay": ("AdamW", {"lr": 0.01, "weight_decay": 0.2, "betas": (0.5, 0.9)}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_trajectory(case, dtype):
    name, options = CASES[case]
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(s).astype(dtype) for s in SHAPES]
    ours = [nn.Parameter(v) for v in values]
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    fast = getattr(fc.optim, name)(ours, **options)
    slow = getattr(torch.optim, name)(theirs, **options)
    # rounding of a step is a few eps of the parameter and of the update; they add up over the steps
    tolerance = 8 * STEPS * np.finfo(dtype).eps
    for step in range(STEPS):
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            if i == 3 and step % 3 == 0:  # now and then one has no gradient
                p.grad = q.grad = None
                continue
            g = rng.standard_normal(p.shape).astype(dtype)
            p.grad, q.grad = fc.tensor(g), torch.tensor(g)
        fast.step()
        slow.step()
        for p, q in zip(ours, theirs, strict=True):
            expected = q.detach().numpy()
            assert abs(p.data - expected).max() <= tolerance * max(1, abs(expected).max()), step


def schedule_pairs():
    t = torch.optim.lr_scheduler
    yield "step", lambda o: schedules.StepLR(o, 3, 0.3), lambda o: t.StepLR(o, 3, 0.3)
    yield (
        "multi-step",
        lambda o: schedules.MultiStepLR(o, [2, 5, 11], 0.5),
        lambda o: t.MultiStepLR(o, [2, 5, 11], 0.5),
    )
    yield (
        "linear",
        lambda o: schedules.LinearLR(o, 0.1, 0.9, 7),
        lambda o: t.LinearLR(o, 0.1, 0.9, 7),
    )
    yield (
        "cosine",
        lambda o: schedules.CosineAnnealingLR(o, 8, 0.01),
        lambda o: t.CosineAnnealingLR(o, 8, 0.01),
    )
    yield (
        "warm-up and cosine",
        lambda o: schedules.CosineAnnealingLR(o, 25, 0.01, warmup=5, warmup_factor=0.05),
        lambda o: t.SequentialLR(
            o, [t.LinearLR(o, 0.05, 1.0, 5), t.CosineAnnealingLR(o, 20, 0.01)], [5]
        ),
    )


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [pair[1:] for pair in schedule_pairs()],
    ids=[p[0] for p in schedule_pairs()],
)
def test_schedule(ours, theirs):
    fast = fc.optim.SGD(
        [{"params": nn.Parameter.empty((1,))}, {"params": nn.Parameter.empty((1,)), "lr": 0.2}],
        lr=0.7,
    )
    slow = torch.optim.SGD(
        [
            {"params": torch.nn.Parameter(torch.ones(1))},
            {"params": torch.nn.Parameter(torch.ones(1)), "lr": 0.2},
        ],
        lr=0.7,
    )
    a, b = ours(fast), theirs(slow)
    for _ in range(STEPS):
        assert a.get_last_lr() == pytest.approx(
            [group["lr"] for group in slow.param_groups], rel=1e-9, abs=1e-12
        )
        a.step()
        b.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_reduce_on_plateau(mode, threshold_mode):
    options = {
        "mode": mode,
        "factor": 0.5,
        "patience": 2,
        "threshold": 0.05,
        "threshold_mode": threshold_mode,
        "cooldown": 2,
        "min_lr": 0.01,
    }
    fast = fc.optim.SGD([nn.Parameter.empty((1,))], lr=0.7)
    slow = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.7)
    a = schedules.ReduceLROnPlateau(fast, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(slow, **options)
    metrics = np.random.default_rng(0).uniform(0.8, 1.2, 60) * np.linspace(2, 1, 60)
    for metric in metrics:
        a.step(metric)
        b.step(metric)
        assert fast.param_groups[0]["lr"] == pytest.approx(slow.param_groups[0]["lr"])
    assert fast.param_groups[0]["lr"] < 0.7
