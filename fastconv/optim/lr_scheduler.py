"""Learning-rate schedules with PyTorch's names and values: lr after t calls of step(), from t = 0.

StepLR             base * gamma^(t // step_size)
MultiStepLR        base * gamma^(number of milestones <= t)
    LinearLR           base * (start + (end - start) * min(t, total) / total)
    CosineAnnealingLR  eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2
    ReduceLROnPlateau  lr * factor when the metric has not improved for `patience` calls

Warm-up: Goyal et al. 2017. Cosine: Loshchilov and Hutter 2017.
"""

from bisect import bisect_right
from math import cos, inf, pi

from fastconv.errors import ArgumentError

__all__ = ["CosineAnnealingLR", "LinearLR", "MultiStepLR", "ReduceLROnPlateau", "StepLR"]


def _at_least_1(name, **values):
    for argument, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ArgumentError(f"{name}: {argument} must be an int of at least 1, got {value!r}")


class _Schedule:
    """Base of the schedules whose lr is a function of base_lr and t."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._write()

    def lr(self, base, t):
        raise NotImplementedError(f"{type(self).__name__}.lr")

    def step(self):
        """One epoch (or step, if called after every optimizer step) is done: t + 1."""
        self.last_epoch += 1
        self._write()

    def _write(self):
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.lr(base, self.last_epoch)

    def get_last_lr(self):
        """The current lr of every parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """What load_state_dict continues from."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, saved):
        """Continue where state_dict() was taken; sets the optimizer's lr."""
        self.last_epoch, self.base_lrs = saved["last_epoch"], list(saved["base_lrs"])
        self._write()


class StepLR(_Schedule):
    """lr * gamma after every step_size steps."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        _at_least_1("StepLR", step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def lr(self, base, t):
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(_Schedule):
    """lr * gamma at each of the milestones."""

    def __init__(self, optimizer, milestones, gamma=0.1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def lr(self, base, t):
        return base * self.gamma ** bisect_right(self.milestones, t)


class LinearLR(_Schedule):
    """Warm-up: from start_factor * lr to end_factor * lr in total_iters steps, then constant."""

    def __init__(self, optimizer, start_factor=1 / 3, end_factor=1.0, total_iters=5):
        _at_least_1("LinearLR", total_iters=total_iters)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def lr(self, base, t):
        return base * _line(self.start_factor, self.end_factor, t, self.total_iters)


class CosineAnnealingLR(_Schedule):
    """From lr to eta_min along half a cosine in T_max steps.

    warmup: that many of the T_max steps first climb linearly from warmup_factor * lr to lr, as
    PyTorch's SequentialLR of LinearLR and CosineAnnealingLR(T_max - warmup).
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, warmup=0, warmup_factor=0.01):
        _at_least_1("CosineAnnealingLR", T_max=T_max)
        if not 0 <= warmup < T_max:
            raise ArgumentError(
                f"CosineAnnealingLR: warmup must be in [0, T_max={T_max}), got {warmup}"
            )
        self.T_max, self.eta_min = T_max, eta_min
        self.warmup, self.warmup_factor = warmup, warmup_factor
        super().__init__(optimizer)

    def lr(self, base, t):
        if t < self.warmup:
            return base * _line(self.warmup_factor, 1.0, t, self.warmup)
        done = (t - self.warmup) / (self.T_max - self.warmup)
        return self.eta_min + (base - self.eta_min) * (1 + cos(pi * done)) / 2


def _line(start, end, t, total):
    return start + (end - start) * min(t, total) / total


class ReduceLROnPlateau:
    """step(metric): lr * factor once the metric did not improve for more than `patience` calls.

    mode "min" or "max"; better means by more than threshold ("rel": of the best so far, "abs": as
    it is). After a reduction `cooldown` calls are not counted. No reduction goes below min_lr, or
    is smaller than eps.
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        eps=1e-8,
    ):
        if not factor < 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ArgumentError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}"
            )
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = inf if mode == "min" else -inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metric):
        """Compare this epoch's metric (a number or a one-element tensor) with the best so far."""
        metric = float(metric)
        self.last_epoch += 1
        if self.better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def better(self, metric):
        """True if the metric improves on the best by more than the threshold."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * metric > sign * self.best * (1 + sign * self.threshold)
        return sign * metric > sign * (self.best + sign * self.threshold)

    def _reduce(self):
        for group in self.optimizer.param_groups:
            lower = max(group["lr"] * self.factor, self.min_lr)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower

    def get_last_lr(self):
        """The current lr of every parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    _STATE = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")

    def state_dict(self):
        """What load_state_dict continues from; the lr itself is in the optimizer's state."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, saved):
        """Continue where state_dict() was taken."""
        for name in self._STATE:
            setattr(self, name, saved[name])
