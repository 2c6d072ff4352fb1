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

from fastconv.errors import ArgumentError, RegistryError, UnknownModelError
from fastconv.models.info import IMAGENET, Accuracy, Architecture, Preprocessing


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

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the arguments that build takes."""
        return tuple(signature(self.build).parameters)

    @property
    def num_classes(self) -> int:
        """Classes of the published network."""
        return signature(self.build).parameters["num_classes"].default


REGISTRY: dict[str, ModelEntry] = {}


def register(
    architecture: Architecture,
    *,
    params: int,
    macs: int,
    source: str,
    input_shape=(224, 224, 3),
    accuracy=(),
    preprocessing=IMAGENET,
):
    """Decorator: puts a function that builds a network into the registry under its own name. The
    networks it builds have the entry as `info`."""

    def add(build):
        name = build.__name__
        if name in REGISTRY:
            raise RegistryError(
                f"register: model {name!r} is there already, by {REGISTRY[name].build.__module__}"
            )

        @wraps(build)
        def build_with_info(*args, **kwargs):
            model = build(*args, **kwargs)
            model.info = entry
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
        )
        return build_with_info

    return add


def list_models(pattern: str = "*", family: str | None = None) -> list[str]:
    """Names that match a shell pattern, sorted: list_models("resnet*"); of one family, the name of
    the file it is in: list_models(family="vgg")."""
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
    """The entry of that name; UnknownModelError suggests the nearest names."""
    if name in REGISTRY:
        return REGISTRY[name]
    near = get_close_matches(str(name).lower(), REGISTRY, n=3)
    raise UnknownModelError(
        f"create_model: there is no model {name!r}; "
        + (f"did you mean {', '.join(near)}?" if near else "fc.models.list_models() names all")
    )


def create_model(name: str, num_classes=None, in_channels=None, **options):
    """A new network with fresh weights, in training mode.

    num_classes, in_channels: None stands for the published network's (1000 and 3 for ImageNet).
    num_classes=0 leaves the last linear layer out: the network gives the features it would read.
    options: what the entry takes besides, as zero_init_residual of ResNets.
    Raises UnknownModelError, ArgumentError.
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
    return entry.build(**options)
