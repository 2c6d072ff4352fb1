"""Optimizer: parameter groups, the state of each parameter, and multi-tensor kernels per step."""

from math import isfinite

import numpy as np

from fastconv.backend import device_of, table_for, to_device
from fastconv.core import Spec, Tensor, drop_packed, is_float
from fastconv.errors import (
    ArgumentError,
    DTypeError,
    LayoutError,
    ShapeError,
    StateDictError,
)

__all__ = ["Optimizer"]

LAYOUT = "OHWI"  # of the saved arrays: many have the same shape in PyTorch's order


class Optimizer:
    """Base of SGD, Adam and AdamW.

    params: an iterable of parameters, or of dicts {"params": [...], "lr": ..., ...} whose other
    entries override the defaults for that group. `param_groups[i]["lr"]` may be changed any time.
    """

    state_names = ()  # the arrays kept per parameter, of its shape

    def __init__(self, params, **defaults):
        self.defaults = defaults
        self.param_groups = []
        self.state = {}  # parameter -> {"step": int, name: Tensor}
        if isinstance(params, Tensor) or hasattr(params, "parameters"):
            raise ArgumentError(
                f"{self._name}: params must be an iterable of parameters, got"
                f" {type(params).__name__}: pass model.parameters()"
            )
        params = list(params)
        grouped = bool(params) and isinstance(params[0], dict)
        for group in params if grouped else [{"params": params}]:
            self.add_param_group(group)

    @property
    def _name(self):
        return type(self).__name__

    def add_param_group(self, group):
        """Step further parameters, with their own values of lr and the rest."""
        if unknown := set(group) - {"params", *self.defaults}:
            raise ArgumentError(
                f"{self._name}: a parameter group takes {', '.join(['params', *self.defaults])},"
                f" got {', '.join(sorted(unknown))}"
            )
        params = group.get("params", ())
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ArgumentError(f"{self._name}: no parameters to step (an empty iterable)")
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf or not is_float(p.dtype):
                raise ArgumentError(
                    f"{self._name}: every parameter must be a floating-point leaf tensor, got {p!r}"
                )
            if id(p) in known:
                raise ArgumentError(f"{self._name}: a parameter of shape {p.shape} is given twice")
            known.add(id(p))
        group = {
            "params": params,
            **self.defaults,
            **{k: v for k, v in group.items() if k != "params"},
        }
        self.check(group)
        self.param_groups.append(group)

    def check(self, group):
        """ArgumentError for values out of range."""
        self._at_least_0(group, "lr", "weight_decay")

    def _at_least_0(self, group, *names):
        for name in names:
            if not isfinite(group[name]) or group[name] < 0:
                raise ArgumentError(
                    f"{self._name}: {name} must be finite and not negative, got {group[name]}"
                )

    def _momentum_like(self, name, value):
        if not 0 <= value < 1:
            raise ArgumentError(f"{self._name}: {name} must be in [0, 1), got {value}")

    # ---- a training step

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self):
        """Update every parameter that has a gradient, in place; nothing if any value is wrong."""
        for group in self.param_groups:
            self.check(group)
            for p in group["params"]:
                _check_gradient(self._name, p)
        for group in self.param_groups:
            for batch in self._batches(group):
                step = self.state[batch[0]]["step"] + 1
                for p in batch:
                    drop_packed(p)
                if not batch[0].is_meta:
                    arrays = [p._data for p in batch]
                    grads = [_contiguous(p.grad._data) for p in batch]
                    kept = [[self.state[p][n]._data for p in batch] for n in self.kept(group)]
                    self.update(table_for(arrays), group, arrays, grads, kept, step)
                for p in batch:
                    p._buffer.version += 1
                    self.state[p]["step"] = step

    def kept(self, group):
        """Names of the arrays that this group's parameters need."""
        return self.state_names

    def update(self, K, group, params, grads, kept, step):
        """Run the kernel on lists of arrays; step counts from 1."""
        raise NotImplementedError(f"{self._name}.update")

    def _batches(self, group):
        """Lists of parameters for one kernel call: of equal dtype, device and number of steps."""
        batches = {}
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state.setdefault(p, {"step": 0})
            for name in self.kept(group):
                if name not in state:
                    state[name] = _zeros_like(p)
            key = (p.dtype, p.device, state["step"])
            batches.setdefault(key, []).append(p)
        return batches.values()

    # ---- its state

    def state_dict(self):
        """{"state": {number: {"step", arrays}}, "param_groups": [...]}: parameters by number."""
        numbers = {p: i for i, p in enumerate(self._all())}
        return {
            "state": {
                numbers[p]: {
                    k: np.array(v.numpy()) if isinstance(v, Tensor) else v for k, v in s.items()
                }
                for p, s in self.state.items()
            },
            "param_groups": [
                {**group, "params": [numbers[p] for p in group["params"]]}
                for group in self.param_groups
            ],
            "layout": LAYOUT,
        }

    def load_state_dict(self, saved):
        """Continue where state_dict() was taken: all or nothing, else StateDictError says why."""
        if saved.get("layout") != LAYOUT:
            raise LayoutError(
                f"{self._name}.load_state_dict: expected layout={LAYOUT}, got"
                f" layout={saved.get('layout')}: only what state_dict() of a fastconv optimizer"
                " returned can be loaded"
            )
        params = self._all()
        groups, wrong = saved["param_groups"], []
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            wrong.append(
                f"groups of {[len(g['params']) for g in groups]} parameters, expected"
                f" {[len(g['params']) for g in self.param_groups]}"
            )
        for i, arrays in saved["state"].items():
            if i >= len(params):
                wrong.append(f"state of parameter {i}, there are {len(params)}")
                continue
            for name, value in arrays.items():
                if name not in ("step", *self.state_names):
                    wrong.append(f"parameter {i}: unexpected {name}")
                elif name != "step" and np.shape(value) != params[i].shape:
                    wrong.append(
                        f"parameter {i}: {name} has shape {np.shape(value)}, expected"
                        f" {params[i].shape}"
                    )
        if wrong:
            raise StateDictError(
                f"{self._name}.load_state_dict: nothing was loaded:\n  " + "\n  ".join(wrong)
            )
        self.state = {
            params[i]: {
                name: value
                if name == "step"
                else _zeros_like(params[i]).copy_(_moved(value, params[i]))
                for name, value in arrays.items()
            }
            for i, arrays in saved["state"].items()
        }
        for group, loaded in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in loaded.items() if k != "params"})

    def _all(self):
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self):
        groups = [
            f"{len(g['params'])} parameters, " + ", ".join(f"{k}={g[k]!r}" for k in self.defaults)
            for g in self.param_groups
        ]
        return f"{self._name}({'; '.join(groups)})"


def _zeros_like(p):
    if p.is_meta:
        return Tensor(Spec(p.shape, p.dtype), kind="state")
    array = table_for([p._data]).empty(p.shape, p.dtype)
    array[...] = 0
    return Tensor(array, kind="state")


def _moved(value, p):
    return to_device(np.asarray(value), device_of(p._data))


def _check_gradient(name, p):
    if p.grad is None:
        return
    if p.grad.shape != p.shape:
        raise ShapeError(
            f"{name}: a parameter of shape {p.shape} has .grad of shape {p.grad.shape}"
        )
    if p.grad.dtype != p.dtype:
        raise DTypeError(f"{name}: a parameter of {p.dtype} has .grad of {p.grad.dtype}")


def _contiguous(array):
    return array if array.flags.c_contiguous else array.copy(order="C")
