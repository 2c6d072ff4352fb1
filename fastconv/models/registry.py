"""The networks by name: what each is called, what it costs as published, and who says so.

An entry is a function of num_classes, in_channels and the few options that its paper varies; called
without arguments it gives the published network, whose exact figures stand beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import wraps
from inspect import signature

from fastconv import data
from fastconv.errors import ArgumentError, RegistryError, UnknownModelError
from fastconv.models.info import IMAGENET, Accuracy, Architecture, Preprocessing
from fastconv.models.pretrained import load_pretrained


@dataclass(frozen=True)
class ModelEntry:
    """One registered network. params and macs are exact, for one image of input_shape."""

    name: str
    family: str  # the file it is in
    build: Callable
    params: int  # trainable; gamma and beta of batch norm count, running statistics do not
    macs: int  # of convolutions and linear layers, inference; FLOPs are twice that
    input_shape: tuple[int, int, int]  # H, W, C
    source: str
    architecture: Architecture
    accuracy: tuple[Accuracy, ...]
    preprocessing: Preprocessing | None  # None: images as they are
    weights: str | None = None  # repository of the Hugging Face hub that pretrained=True takes
    aliases: tuple[str, ...] = ()  # other libraries' names of the same network

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the arguments that build takes."""
        return tuple(signature(self.build).parameters)

    @property
    def num_classes(self) -> int:
        """Classes of the published network."""
        return signature(self.build).parameters["num_classes"].default

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the published network's classes: ImageNet's thousand, else None."""
        return data.imagenet_classes() if self.num_classes == 1000 else None


REGISTRY: dict[str, ModelEntry] = {}
ALIASES: dict[str, str] = {}  # other libraries' name: ours


def register(
    architecture: Architecture,
    *,
    params: int,
    macs: int,
    source: str,
    input_shape=(224, 224, 3),
    accuracy=(),
    preprocessing=IMAGENET,
    weights=None,
    aliases=(),
):
    """Decorator: puts a function that builds a network into the registry under its own name. The
    networks it builds have the entry as `info`.

    weights: "timm/resnet18.tv_in1k", what pretrained=True loads. aliases: other libraries' names,
    which model_info and create_model take too.
    """

    def add(build):
        name = build.__name__
        names = (name, *aliases)
        for i, given in enumerate(names):
            if given in REGISTRY or given in ALIASES or given in names[:i]:
                owner = REGISTRY.get(ALIASES.get(given, given))
                by = owner.build.__module__ if owner else "itself"
                raise RegistryError(f"register: model {given!r} is there already, by {by}")

        @wraps(build)
        def build_with_info(*args, **kwargs):
            model = build(*args, **kwargs)
            model.info = entry
            model.load_report = None  # a nn.LoadReport once weights were loaded
            return model

        entry = REGISTRY[name] = ModelEntry(
            name,
            build.__module__.rpartition(".")[2],
            build_with_info,
            params,
            macs,
            input_shape,
            source,
            architecture,
            tuple(accuracy),
            preprocessing,
            weights,
            tuple(aliases),
        )
        ALIASES.update(dict.fromkeys(aliases, name))
        return build_with_info

    return add


def list_models(pattern: str = "*", family: str | None = None) -> list[str]:
    """Names that match a shell pattern, sorted: list_models("resnet*"); of one family, the name of
    the file it is in: list_models(family="vgg"). Aliases are not listed."""
    families = {entry.family for entry in REGISTRY.values()}
    if family is not None and family not in families:
        raise ArgumentError(
            f"list_models: there is no family {family!r}; there are {', '.join(sorted(families))}"
        )
    return sorted(
        name
        for name, entry in REGISTRY.items()
        if fnmatchcase(name, pattern) and family in (None, entry.family)
    )


def model_info(name: str) -> ModelEntry:
    """The entry of that name or alias; UnknownModelError suggests the nearest names."""
    name = ALIASES.get(name, name)
    if name in REGISTRY:
        return REGISTRY[name]
    near = get_close_matches(str(name).lower(), [*REGISTRY, *ALIASES], n=3)
    raise UnknownModelError(
        f"create_model: there is no model {name!r}; "
        + (f"did you mean {', '.join(near)}?" if near else "fc.models.list_models() names all")
    )


def create_model(
    name: str, num_classes=None, in_channels=None, pretrained=None, strict_head=True, **options
):
    """A new network in training mode, with fresh weights or with those of a file.

    num_classes, in_channels: None stands for the published network's (1000 and 3 for ImageNet).
    num_classes=0 leaves the last linear layer out: the network gives the features it would read.
    pretrained: True (published weights, from the Hugging Face hub), "hf-hub:owner/name", or the
    path of a .safetensors, .pth, .pt or .bin file; model.load_report says what was loaded.
    strict_head=False: where the file has another number of classes, the head keeps its fresh
    weights. With other in_channels the first layer gets the mean over the channels of the file.
    options: what the entry takes besides, as zero_init_residual of ResNets.
    Raises UnknownModelError, ArgumentError; with pretrained StateDictError, DownloadError,
    FileFormatError, MissingFileError.
    """
    entry = model_info(name)
    for option in options:
        if option not in entry.options:
            raise ArgumentError(
                f"create_model: {name} has no option {option!r}, it has {', '.join(entry.options)}"
            )
    for argument, value, least in (
        ("num_classes", num_classes, 0),
        ("in_channels", in_channels, 1),
    ):
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ArgumentError(
                f"create_model: {argument} must be an int of at least {least}, got {value!r}"
            )
        options[argument] = value
    model = entry.build(**options)
    if pretrained is not None and pretrained is not False:
        model.load_report = load_pretrained(model, entry, options, pretrained, strict_head)
    return model
