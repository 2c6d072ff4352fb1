"""Floor 2: the gate, Tensor and the backward walk, the trace, the state the gate looks at."""

from fastconv.core.autocast import autocast
from fastconv.core.checkpoint import checkpointed
from fastconv.core.create import from_dlpack, from_nchw, from_oihw, own_copy, tensor
from fastconv.core.dtypes import as_dtype, is_float
from fastconv.core.functions import FUNCTIONS, as_tensor, function, is_array
from fastconv.core.op import Op
from fastconv.core.packed import drop_packed, packed_copy
from fastconv.core.random import manual_seed, next_stream, random_state, set_random_state
from fastconv.core.spec import Spec
from fastconv.core.state import (
    enable_grad,
    no_grad,
    set_float32_precision,
    state,
    use_algorithm,
)
from fastconv.core.tensor import Tensor
from fastconv.core.trace import Record, Saved, Trace

__all__ = [
    "FUNCTIONS",
    "Op",
    "Record",
    "Saved",
    "Spec",
    "Tensor",
    "Trace",
    "as_dtype",
    "as_tensor",
    "autocast",
    "checkpointed",
    "drop_packed",
    "enable_grad",
    "from_dlpack",
    "from_nchw",
    "from_oihw",
    "function",
    "is_array",
    "is_float",
    "manual_seed",
    "next_stream",
    "no_grad",
    "own_copy",
    "packed_copy",
    "random_state",
    "set_float32_precision",
    "set_random_state",
    "state",
    "tensor",
    "use_algorithm",
]
