"""Weights from elsewhere into a network: create_model(name, pretrained=...).

    True                       the file that the entry names, on the hub
    "hf-hub:timm/NAME"         that repository on the hub (models/hub.py)
    "x.safetensors", "x.pth"   a file; of PyTorch's (models/torch_file.py) nothing is run

What may differ between file and network: the names that others give the same layers, a head of
another size, the number of input channels. All else must fit.

Names are data beside the family: `key_map` of the network's class (nn/torch_weights.py).
"""

import logging
from pathlib import Path

import numpy as np

from fastconv.core import Trace
from fastconv.errors import ArgumentError, StateDictError
from fastconv.models.hub import PREFIX, Address, fetch
from fastconv.models.torch_file import load_torch_file
from fastconv.nn.files import SUFFIX
from fastconv.nn.files import load as load_safetensors
from fastconv.nn.state_dict import LAYOUT, LoadReport, load, named_state
from fastconv.nn.torch_weights import OPTIONAL, our_names, same_matrix

TORCH_SUFFIXES = (".pth", ".pt", ".bin")

# what is met in files of PyTorch's whatever the family
OLD_KEYS = (
    (r"^module\.", ""),  # saved from inside DataParallel
    # torchvision's DenseNets before 0.3: a layer named "norm.1"
    (r"(\.denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2."),
)

log = logging.getLogger("fastconv")


def load_pretrained(model, entry, options, source, strict_head) -> LoadReport:
    """Load the weights at `source` into model, which entry.build(**options) has made.

    Raises StateDictError with every key that does not fit (nothing is loaded then), DownloadError,
    FileFormatError, MissingFileError, ArgumentError.
    """
    path, told = located(entry, source)
    arrays = load_torch_file(path) if path.suffix in TORCH_SUFFIXES else load_safetensors(path)
    fit = fitted(model, entry, options, told, arrays, strict_head)
    report = load(
        model,
        fit.arrays,
        True,
        f"create_model: {entry.name} from {told}",
        foreign=lambda module, name: None if fit.ours else module.torch_view(name),
        optional=lambda key: key in fit.fresh or key.rpartition(".")[2] == OPTIONAL,
    )
    for note in fit.warnings:
        log.warning("create_model: %s: %s", entry.name, note)
    return report._replace(
        unexpected=tuple(key for key in fit.unused if key not in fit.fresh),
        fresh=tuple(fit.fresh),
        notes=(*fit.notes, *fit.warnings),
        source=told,
    )


def fitted(model, entry, options, told, arrays, strict_head=True) -> "Fit":
    """The arrays under our names, adapted where need be; its misfits() would be refused."""
    fit = Fit(model, entry, options, told, arrays)
    fit.rename()
    if fit.misfits():
        fit.adapt_first_layer()
        fit.leave_auxiliary_heads()
        fit.leave_head(strict_head)
    return fit


def located(entry, source):
    """(path of the file, how to speak of it) for what create_model was given as pretrained."""
    if source is True:
        if entry.weights is None:
            raise ArgumentError(
                f"create_model: no published weights of {entry.name} are known here: give"
                f" pretrained='{PREFIX}owner/name' or the path of a file instead of True"
            )
        source = PREFIX + entry.weights
    if isinstance(source, str) and source.startswith(PREFIX):
        address = Address.parse(source)
        return fetch(address), str(address)
    if isinstance(source, str | Path) and Path(source).suffix in (SUFFIX, *TORCH_SUFFIXES):
        return Path(source), repr(str(source))
    raise ArgumentError(
        f"create_model: pretrained must be True, '{PREFIX}owner/name' or the path of a"
        f" {', '.join([SUFFIX, *TORCH_SUFFIXES])} file, got {source!r}"
    )


def shapes(model, ours):
    """{key: shape} of the state, in our layout or in PyTorch's."""
    found = {}
    for key, module, name, tensor in named_state(model):
        view = None if ours else module.torch_view(name)
        found[key] = tensor.shape if view is None else view.shape
    return found


class Fit:
    """Arrays of a file on their way into a model: what is changed or left out, and why."""

    def __init__(self, model, entry, options, told, arrays):
        self.entry, self.options, self.told = entry, options, told
        self.key_map = (*getattr(model, "key_map", ()), *OLD_KEYS)
        self.ours = arrays.layout == LAYOUT
        self.arrays = dict(arrays)
        self.wanted = shapes(model, self.ours)
        self.unused, self.fresh, self.notes, self.warnings = [], [], [], []

    def rename(self):
        """Others' keys and shapes of the same layers to PyTorch's as we have them."""
        if self.ours:
            return
        arrays, example, count = {}, "", 0
        names = our_names(self.arrays, self.wanted, self.key_map)
        for key, array in self.arrays.items():
            name = names[key]
            if name != key:
                example, count = example or f"{key} -> {name}", count + 1
            if name in arrays:
                raise StateDictError(
                    f"create_model: {self.told} has {name} twice, under different names"
                )
            arrays[name] = same_matrix(array, self.wanted.get(name))
        self.arrays = arrays
        if count:
            self.notes.append(f"{count} keys renamed, as {example}")

    def misfits(self, but=()):
        """Keys that would be refused, without those in `but`."""
        there = {key: array.shape for key, array in self.arrays.items()}
        return [
            key
            for key in {**self.wanted, **there}
            if key not in but
            and self.wanted.get(key) != there.get(key)
            and (key in there or key.rpartition(".")[2] != OPTIONAL)
        ]

    def depending_on(self, argument, *values):
        """Keys whose shape depends on an argument of the network, found by building it twice."""
        # with a head in any case: not every option goes without
        options = {**self.options, "num_classes": self.options.get("num_classes") or 2}
        with Trace(meta=True):
            a, b = (
                shapes(self.entry.build(**{**options, argument: value}), self.ours)
                for value in values
            )
        return [key for key in {**a, **b} if a.get(key) != b.get(key)]

    def adapt_first_layer(self):
        """Other input channels: each gets the mean over the old ones, scaled so that the sum over
        the channels stays: a grey picture gives what its three equal channels gave."""
        channels = self.entry.input_shape[2]
        axis = 3 if self.ours else 1
        for key in self.depending_on("in_channels", channels, channels + 1):
            array, wanted = self.arrays.get(key), self.wanted[key]
            if array is None or array.ndim != 4 or array.shape == wanted:
                continue
            if array.shape != (*wanted[:axis], array.shape[axis], *wanted[axis + 1 :]):
                continue  # more than the channels differs: refused later
            old, new = array.shape[axis], wanted[axis]
            each = array.mean(axis, keepdims=True, dtype="float32") * np.float32(old / new)
            self.arrays[key] = np.repeat(each, new, axis)
            self.warnings.append(
                f"in_channels={new}: {key} of the file has {old} input channels; every one of ours"
                f" is their mean times {old}/{new}"
            )

    def leave_auxiliary_heads(self):
        """Files of networks trained with auxiliary heads have them; ours only if asked for."""
        if "aux_heads" not in self.entry.options or self.options.get("aux_heads"):
            return
        keys = [k for k in self.depending_on("aux_heads", False, True) if k in self.arrays]
        self.leave_out(keys, "auxiliary heads of the file were not asked for (aux_heads=True)")

    def leave_head(self, strict_head):
        """A head of another size: refused, or with strict_head=False left as it began."""
        head = self.depending_on("num_classes", 2, 3)
        ours = [key for key in head if key in self.wanted]
        if not ours:
            self.leave_out(
                [key for key in head if key in self.arrays], "num_classes=0: its head is not used"
            )
            return
        if not set(ours) & set(self.misfits()) or self.misfits(but=head):
            return
        there = [self.arrays[key].shape[0] for key in ours if key in self.arrays]
        its = f"a head for {there[-1]} classes" if there else "no head"
        if strict_head:
            raise StateDictError(
                f"create_model: {self.told} has {its}, {self.entry.name} was asked for"
                f" {self.wanted[ours[-1]][0]}: pass strict_head=False to load the rest and leave"
                f" the head ({', '.join(ours)}) at its fresh weights"
                + (f", or num_classes={there[-1]}" if there else "")
            )
        self.fresh = ours
        self.leave_out([key for key in head if key in self.arrays], f"the file has {its}: left out")

    def leave_out(self, keys, why):
        """Without these keys of the file."""
        if keys:
            self.unused += keys
            self.notes.append(why)
            self.arrays = {key: a for key, a in self.arrays.items() if key not in keys}
