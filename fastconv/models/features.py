"""Outputs of inner modules: feature_extractor(model, ["layer2", "layer4"])(x) -> {name: output}."""

from difflib import get_close_matches
from itertools import takewhile
from operator import eq

from fastconv import nn
from fastconv.core import state
from fastconv.errors import ArgumentError

SHOWN = 12  # names that an error lists


def feature_extractor(model, names):
    """A module that runs `model` and gives {name: output} of the named modules, in that order.

    names are those of model.named_modules(): ["layer2", "layer4.1"]. The run ends with the last
    output that is asked for: what comes behind it is not computed, and in training the running
    statistics behind it stay as they are. Of a module that runs several times it is the first
    output. The result shares model's parameters (`.model`), and train(), eval(), gradients and
    Trace work as for every module. Raises ArgumentError for a name that is not there and, when
    called, for a module that did not run, as convolution and batch norm inside nn.conv_bn_act.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"feature_extractor: model must be an nn.Module, got {type(model).__name__}"
        )
    if isinstance(names, str) or not all(isinstance(name, str) for name in names) or not names:
        raise ArgumentError(
            'feature_extractor: names must be a list of module names, as ["layer2", "layer4"], got'
            f" {names!r}"
        )
    known = {prefix[:-1]: module for prefix, module in model._walk() if prefix}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3) or list(known)[:SHOWN]
            raise ArgumentError(
                f"feature_extractor: {type(model).__name__} has no module {name!r};"
                f" near to it: {', '.join(near)}; model.named_modules() gives all"
            )
    return FeatureExtractor(model, tuple(names))


class FeatureExtractor(nn.Module):
    """See feature_extractor."""

    def __init__(self, model, names):
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs, **kwargs):
        modules = {prefix[:-1]: module for prefix, module in self.model._walk()}
        watch = _Watch({modules[name] for name in self.names})
        before = state.watch, state.observed
        watch.outer = state.watch
        state.watch, state.observed = watch, True
        try:
            self.model(*inputs, **kwargs)
        except _Enough as enough:
            if enough.watch is not watch:
                raise
        finally:
            state.watch, state.observed = before
        for name in self.names:
            if modules[name] not in watch.outputs:
                self._refuse(name, modules, watch)
        return {name: watch.outputs[modules[name]] for name in self.names}

    def _refuse(self, name, modules, watch):
        ran = [n for n, module in modules.items() if n and module in watch.ran]
        # those of the same block first, then the outermost
        path = name.split(".")
        shared = {n: sum(takewhile(bool, map(eq, n.split("."), path))) for n in ran}
        ran.sort(key=lambda n: (-shared[n], n.count(".")))
        more = f" and {len(ran) - SHOWN} more" if len(ran) > SHOWN else ""
        raise ArgumentError(
            f"feature_extractor: {name} did not run by itself in {type(self.model).__name__} (a"
            " convolution and its batch norm run as one op, nn.conv_bn_act); modules that did:"
            f" {', '.join(ran[:SHOWN])}{more}"
        )

    def extra_repr(self):
        return repr(list(self.names))


class _Watch:
    """Keeps the first output of each wanted module, and ends the run with the last of them."""

    outer = None  # of an extractor that this one runs in

    def __init__(self, wanted):
        self.wanted = wanted
        self.outputs = {}
        self.ran = set()

    def __call__(self, module, output):
        if self.outer is not None:
            self.outer(module, output)
        self.ran.add(module)
        if module in self.wanted:
            self.outputs.setdefault(module, output)
            if len(self.outputs) == len(self.wanted):
                raise _Enough(self)


class _Enough(BaseException):
    """Leaves a forward pass; not an Exception, so that no `except Exception` in it holds it up."""

    def __init__(self, watch):
        self.watch = watch
