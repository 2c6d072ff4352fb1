"""Floor 4: pictures that come with the package, and how pictures become input of a network."""

from fastconv.data.labels import imagenet_classes
from fastconv.data.samples import digit_batch, photograph, photograph_batch
from fastconv.data.transforms import Transform, transform_for

__all__ = [
    "Transform",
    "digit_batch",
    "imagenet_classes",
    "photograph",
    "photograph_batch",
    "transform_for",
]
