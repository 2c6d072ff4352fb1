"""What the gate looks at besides its inputs: per thread, changed only by what is here."""

import threading
from contextlib import contextmanager

from fastconv.errors import ArgumentError

PRECISIONS = ("ieee", "default", "tf32")


class _State(threading.local):
    grad = True  # record what backward needs
    trace = None  # the innermost active Trace
    watch = None  # watch(module, output) is called for each module that ran, or None
    observed = False  # whether there is a trace or a watch: all that a module's call looks at
    autocast = None  # dtype that ops of class "low" are cast to
    algorithm = None  # name forced by use_algorithm
    out = None  # (function, array): where the next op puts its result, once
    packs = True  # whether packed copies of parameters are kept where nothing is recorded
    precision = "default"  # of float32 arithmetic; one value for the process


state = _State()


@contextmanager
def overridden(name, value):
    """Inside the block state.name is value, afterwards what it was; per thread."""
    own, before = name in vars(state), getattr(state, name)
    setattr(state, name, value)
    try:
        yield
    finally:
        if own:
            setattr(state, name, before)
        else:  # the thread follows the value of the process again
            delattr(state, name)


def no_grad():
    """Nothing inside the block is recorded for backward. Also a decorator."""
    return overridden("grad", False)


def enable_grad():
    """Records again inside a `no_grad` block."""
    return overridden("grad", True)


def use_algorithm(name: str | None):
    """Force one convolution algorithm inside the block ("im2col", ...); None gives the choice back.

    An op that the algorithm does not fit raises AlgorithmError naming those that do.
    """
    if name is not None and not isinstance(name, str):
        raise ArgumentError(f"use_algorithm: name must be a str or None, got {name!r}")
    return overridden("algorithm", name)


def set_float32_precision(precision: str) -> None:
    """How float32 products may be computed, for the whole process.

    "ieee": plain float32 only. "default": algorithms whose stated error is below 1e-4 x rms(y)
    (Winograd: sums of whole numbers are then not exact, and an infinity or NaN in x reaches all 4x4
    outputs of its tile). "tf32": TF32 tensor cores too.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(
            f"set_float32_precision: precision must be one of {PRECISIONS}, got {precision!r}"
        )
    _State.precision = precision
