"""fastconv: hand-written kernels, autograd, networks and their cost for convolutional networks.

Activations are NHWC and weights OHWI everywhere; fc.from_nchw, fc.from_oihw and load_torch_state_dict convert.
"""

from importlib import import_module
from importlib.metadata import version as _version

from fastconv import errors, functional, nn, optim
from fastconv.backend import devices, use_backend
from fastconv.core import (
    Tensor,
    Trace,
    autocast,
    enable_grad,
    from_dlpack,
    from_nchw,
    from_oihw,
    manual_seed,
    no_grad,
    set_float32_precision,
    tensor,
    use_algorithm,
)
from fastconv.functional import concat, stack, where

__version__ = _version("fastconv")

_LAZY = ("analysis", "bench", "models")


def __getattr__(name):
    # these pull in tables and optional packages that a training loop does not need
    if name in _LAZY:
        return import_module(f"fastconv.{name}")
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


__all__ = [
    "Tensor",
    "Trace",
    "analysis",
    "autocast",
    "bench",
    "concat",
    "devices",
    "enable_grad",
    "errors",
    "from_dlpack",
    "from_nchw",
    "from_oihw",
    "functional",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "optim",
    "set_float32_precision",
    "stack",
    "tensor",
    "use_algorithm",
    "use_backend",
    "where",
]
