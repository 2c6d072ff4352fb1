"""Module: a part of a network that owns parameters, buffers and modules, all plain attributes.

Parameters, Buffers and Modules are found among the attributes by their type, in the order of
assignment; the dotted path of attribute names is the name, as in torchvision's checkpoints.
"""

from fastconv.backend import device_of, parse_device
from fastconv.core import (
    Spec,
    Tensor,
    as_dtype,
    checkpointed,
    drop_packed,
    is_float,
    own_copy,
    state,
)
from fastconv.errors import ArgumentError
from fastconv.nn import state_dict
from fastconv.nn.parameter import Buffer, Parameter

__all__ = ["Module"]


class Module:
    """Base of layers and networks: assign parameters and modules as attributes, write forward."""

    training = True
    recomputed = False  # checkpoint(): computed again in backward instead of kept

    def forward(self, *inputs):
        """The computation; call the module itself instead, so that a Trace knows who is running."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def __call__(self, *inputs, **kwargs):
        if self.recomputed and state.grad:
            return self._recomputed(inputs, kwargs)
        if state.observed:
            return self._observed(inputs, kwargs)
        return self.forward(*inputs, **kwargs)

    def _recomputed(self, inputs, kwargs):
        if any(isinstance(v, Tensor) for v in kwargs.values()):
            raise ArgumentError(
                f"checkpoint: {type(self).__name__} must be given tensors by position, not by name:"
                " their gradients are found that way"
            )
        return checkpointed(self, lambda *xs: self._observed(xs, kwargs), inputs)

    def _observed(self, inputs, kwargs):
        trace, watch = state.trace, state.watch
        if trace is not None:
            trace.modules.append(self)
        try:
            output = self.forward(*inputs, **kwargs)
        finally:
            if trace is not None:
                trace.modules.pop()
        if watch is not None:
            watch(self, output)
        return output

    # ---- what it owns

    def __setattr__(self, name, value):
        kind = type(value).__name__
        if isinstance(value, list | tuple | dict):
            entries = value.values() if isinstance(value, dict) else value
            if any(isinstance(e, Module | Parameter) for e in entries):
                raise ArgumentError(
                    f"{type(self).__name__}.{name}: modules and parameters inside a {kind} are not"
                    " found by parameters(): use nn.ModuleList or nn.Sequential"
                )
        owned = vars(self).get(name)
        if isinstance(owned, Parameter | Buffer) and not isinstance(
            value, Parameter | Buffer | None
        ):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a {type(owned).__name__} and cannot become a"
                f" {kind}: write its values with {name}.copy_(...), or assign an nn.Parameter"
            )
        super().__setattr__(name, value)

    def register_buffer(self, name, values, persistent=True):
        """Own a tensor that is not trained: a copy of values; in state_dict() if persistent."""
        setattr(self, name, None if values is None else Buffer(values, persistent))

    def _own(self, kind):
        return [(name, v) for name, v in vars(self).items() if isinstance(v, kind)]

    def _own_state(self):
        buffers = [(name, b) for name, b in self._own(Buffer) if b.persistent]
        return self._own(Parameter) + buffers

    def _walk(self, prefix=""):
        """(prefix, module) of this module and all below; one that is used twice comes twice."""
        yield prefix, self
        for name, child in self._own(Module):
            yield from child._walk(f"{prefix}{name}.")

    def named_modules(self):
        """(dotted name, module) of this module ("") and all below, each once, outermost first."""
        return iter(_unique((prefix[:-1], module) for prefix, module in self._walk()))

    def modules(self):
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self):
        """(name, module) of the modules one level down."""
        return iter(_unique(self._own(Module)))

    def children(self):
        """The modules one level down."""
        return (module for _, module in self.named_children())

    def _named(self, kind):
        return iter(
            _unique((p + name, x) for p, module in self._walk() for name, x in module._own(kind))
        )

    def named_parameters(self):
        """(dotted name, Parameter) of this module and all below, each once."""
        return self._named(Parameter)

    def parameters(self):
        """Every Parameter of this module and all below, each once: what an optimizer takes."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self):
        """(dotted name, Buffer) of this module and all below, each once."""
        return self._named(Buffer)

    def buffers(self):
        """Every Buffer of this module and all below, each once."""
        return (b for _, b in self.named_buffers())

    # ---- modes and moves; each returns self

    def train(self, mode=True):
        """Training behaviour (batch statistics, dropout) for this module and all below."""
        for module in self.modules():
            module.training = bool(mode)
        if mode:
            for p in self.parameters():
                drop_packed(p)
        return self

    def eval(self):
        """Inference behaviour (running statistics, no dropout) for this module and all below."""
        return self.train(False)

    def freeze(self):
        """No parameter gets gradients. Running statistics still follow train() and eval()."""
        return self._require_grad(False)

    def unfreeze(self):
        """Every parameter of this module gets gradients again."""
        return self._require_grad(True)

    def _require_grad(self, needed):
        for p in self.parameters():
            p.requires_grad = needed
            if not needed:
                p.grad = None
        return self

    def zero_grad(self):
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None
        return self

    def apply(self, f):
        """f(module) for every module below, then this one (to initialise, for example)."""
        for child in self.children():
            child.apply(f)
        f(self)
        return self

    def to(self, device):
        """Move parameters and buffers to "cpu", "cuda:1", ... in place; gradients are forgotten."""
        device = parse_device(device)
        for x in self._tensors():
            if not x.is_meta and device_of(x._data) != device:
                _replace(x, x.dtype, device)
        return self

    def astype(self, dtype):
        """Cast floating parameters and buffers to dtype, in place; gradients are forgotten."""
        dtype = as_dtype(dtype)
        if not is_float(dtype):
            raise ArgumentError(f"astype: parameters must stay floating-point, got dtype {dtype}")
        for x in self._tensors():
            if is_float(x.dtype) and x.dtype != dtype:
                _replace(x, dtype, x.device)
        return self

    def _tensors(self):
        return [*self.parameters(), *self.buffers()]

    # ---- its state

    def state_dict(self):
        """NumPy copies of parameters and persistent buffers by dotted name, with layout "OHWI"."""
        return state_dict.take(self)

    def load_state_dict(self, arrays, strict=True):
        """Copy arrays by name into parameters and buffers (floats are cast): all or nothing.

        strict=False: missing and unexpected keys pass and are returned in a LoadReport.
        Raises StateDictError with all missing, unexpected and misshapen keys; LayoutError for
        arrays that do not say layout=OHWI (PyTorch's: fc.load_torch_state_dict).
        """
        return state_dict.load_ours(self, arrays, strict)

    def torch_view(self, name):
        """A ForeignView of parameter `name` as PyTorch lays it out; None where that is the same."""
        return None

    # ---- how it prints

    def extra_repr(self):
        """What stands in the brackets of repr: the arguments that matter."""
        return ""

    def __repr__(self):
        lines = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._own(Module)
        ]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + ")" if not lines else "\n".join([head, *lines, ")"])


def _unique(named):
    seen = set()
    for name, x in named:
        if id(x) not in seen:
            seen.add(id(x))
            yield name, x


def _replace(x, dtype, device):
    if x.is_meta:
        x._data = Spec(x.shape, dtype)
    else:
        x._data = own_copy(x._data, dtype, device)
    drop_packed(x)
    x._buffer.version += 1
    x.grad = None
