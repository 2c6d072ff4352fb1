"""What is known of a network beside its layers: its paper, what it reached, what it is fed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A paper's design; the variants of a family share it."""

    name: str  # as the field calls it: "ResNet"
    title: str  # of the paper
    authors: str
    year: int
    link: str  # "arXiv 1512.03385", or a DOI
    introduced: str  # what was new, in one line
    descends_from: tuple[str, ...] = ()  # names of Architectures that it builds on


@dataclass(frozen=True)
class Accuracy:
    """A published figure, in per cent. None: not published."""

    top1: float | None
    top5: float | None
    what: str  # data set and protocol
    source: str


@dataclass(frozen=True)
class Preprocessing:
    """From a photograph to an input: the shorter side is resized to `resize` pixels, the centre
    `crop` x `crop` cut out, and (value / 255 - mean) / std taken per channel."""

    resize: int
    crop: int
    interpolation: str = "bilinear"  # "nearest", "bilinear", "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @property
    def crop_fraction(self) -> float:
        """How much of the shorter side is seen: timm's crop_pct."""
        return self.crop / self.resize


IMAGENET = Preprocessing(resize=256, crop=224)
