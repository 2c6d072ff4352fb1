"""What a case is: a public function, its inputs and arguments, and how right its answer must be.

Rule (a), `exact`: integer-valued inputs (|v| <= 3) give the value of float64 exactly, rounded once.
Rule (b): |y - y64| <= c * sqrt(length) * eps * magnitude + half an ulp of y, magnitude being
    "products"  the same function of |inputs|: sums and products without cancellation
    "output"    |y64|: every element is rounded a few times, nothing is added up
    "range"     |y64| + max|inputs|: a difference of large terms (logarithms, losses)
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastconv as fc
from fastconv.core import Tensor, as_dtype, is_float

__all__ = ["Case", "Input", "eps_of"]


@dataclass(frozen=True)
class Input:
    """normal, positive (0.5 .. 2), distinct (no two equal), unit (0 .. 1): floating, with gradient
    unless fixed; labels (int64 below classes) and bool: never with gradient."""

    shape: tuple[int, ...]
    kind: str = "normal"
    classes: int = 0
    fixed: bool = False

    @property
    def differentiable(self) -> bool:
        return self.kind not in ("labels", "bool") and not self.fixed

    def draw(self, rng, dtype, integers=False):
        """A NumPy array of values that float16 holds exactly, whatever the dtype."""
        if self.kind == "labels":
            return rng.integers(0, self.classes, self.shape)
        if self.kind == "bool":
            return rng.integers(0, 2, self.shape).astype(bool)
        if integers:
            low, high = {"positive": (1, 3), "unit": (0, 1)}.get(self.kind, (-3, 3))
            values = rng.integers(low, high + 1, self.shape)
        elif self.kind == "distinct":
            size = int(np.prod(self.shape))
            values = (rng.permutation(size).reshape(self.shape) - size / 2) / 16
        elif self.kind == "normal":
            values = rng.standard_normal(self.shape)
        else:
            low, high = (0.5, 2.0) if self.kind == "positive" else (0.0, 1.0)
            values = rng.uniform(low, high, self.shape)
        return np.asarray(values).astype(np.float16).astype(as_dtype(dtype))


@dataclass(frozen=True)
class Case:
    function: str  # name in fastconv.functional, or of a Tensor method
    inputs: tuple[Input, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    call: Callable | None = None  # instead of function(*inputs, **arguments)
    length: int = 1  # terms of the longest sum
    c: float = 4.0
    magnitude: str = "output"
    exact: bool = True
    exact_gradient: bool | None = None  # rule (a) for gradients too; None: where linear covers all
    linear: tuple[int, ...] = ()  # inputs in which the function is linear, the others held
    gradient: bool = True
    expect: Callable | None = None  # the same in plain NumPy
    listed: bool = False  # the function takes its inputs as one list
    mutates: tuple[int, ...] = ()  # inputs that the function overwrites by contract
    halves: bool = True  # float16 and bfloat16 work on the reference backend

    @property
    def name(self) -> str:
        shapes = ",".join("x".join(map(str, i.shape)) or "scalar" for i in self.inputs)
        listed = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        return " ".join(s for s in (self.function, self.label, shapes, listed) if s)

    def draw(self, dtype, integers=False):
        """The inputs: the same values for every dtype, fixed by the case's name."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [i.draw(rng, dtype, integers) for i in self.inputs]

    def tensors(self, arrays):
        """Tensors over the arrays as they are, with gradient where the case has one."""
        return [
            Tensor(a, requires_grad=self.gradient and i.differentiable and is_float(a.dtype))
            for a, i in zip(arrays, self.inputs, strict=True)
        ]

    def run(self, values):
        """The list of outputs for arrays or tensors; random functions start from the same seed."""
        fc.manual_seed(1)
        f = self.call or getattr(fc.functional, self.function)
        y = f(list(values), **self.arguments) if self.listed else f(*values, **self.arguments)
        return list(y) if isinstance(y, tuple) else [y]

    def magnitudes(self, arrays64, outputs64):
        """The size that rule (b) measures errors by, one array per output."""
        if self.magnitude == "products":
            positive = [np.asarray(np.abs(a)) if is_float(a.dtype) else a for a in arrays64]
            return [np.abs(y) for y in self.run(positive)]
        top = 0.0
        if self.magnitude == "range":
            top = max(np.abs(a).max(initial=0.0) for a in arrays64 if is_float(a.dtype))
        return [np.abs(y) + top for y in outputs64]

    def bounds(self, arrays64, outputs64, dtype):
        """Largest error allowed per element; half types are computed in float32, rounded once."""
        eps = eps_of(dtype if as_dtype(dtype).itemsize > 2 else "float32")
        tiny = 2.0**-24 if as_dtype(dtype).itemsize == 2 else 0.0  # float16 has no exponents below
        return [
            self.c * np.sqrt(self.length) * eps * m + eps_of(dtype) * np.abs(y) + tiny
            for m, y in zip(self.magnitudes(arrays64, outputs64), outputs64, strict=True)
        ]


def eps_of(dtype) -> float:
    """Distance from 1 to the next number."""
    return {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}[
        as_dtype(dtype).name
    ]
