"""fastconv: hand-written kernels, autograd, networks and their cost for convolutional networks.

Activations are NHWC and weights OHWI everywhere; fc.from_nchw, fc.from_oihw and
load_torch_state_dict convert.
"""

from importlib import import_module

from fastconv import errors, functional, nn, optim
from fastconv.backend import devices, empty_cache, memory_stats, set_num_threads, use_backend
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
from fastconv.nn.checkpoint import checkpoint
from fastconv.nn.files import load, save
from fastconv.nn.torch_weights import load_torch_state_dict, to_torch_state_dict
from fastconv.version import __version__

_LAZY = ("analysis", "bench", "data", "models")


def __getattr__(name):
    # these pull in tables and optional packages that a training loop does not need
    if name in _LAZY:
        return import_module(f"fastconv.{name}")
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


__all__ = [
    "Tensor",
    "Trace",
    "__version__",
    "analysis",
    "autocast",
    "bench",
    "checkpoint",
    "concat",
    "data",
    "devices",
    "empty_cache",
    "enable_grad",
    "errors",
    "from_dlpack",
    "from_nchw",
    "from_oihw",
    "functional",
    "load",
    "load_torch_state_dict",
    "manual_seed",
    "memory_stats",
    "models",
    "nn",
    "no_grad",
    "optim",
    "save",
    "set_float32_precision",
    "set_num_threads",
    "stack",
    "tensor",
    "to_torch_state_dict",
    "use_algorithm",
    "use_backend",
    "where",
]
