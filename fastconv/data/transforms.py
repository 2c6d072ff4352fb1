"""A picture to an input of a network, as its published weights want it.

    shorter side to `resize` pixels -> centre crop x crop -> (value / 255 - mean) / std

Resizing is Pillow's, which averages over all pixels that a smaller one covers (antialiasing);
torchvision and timm do the same with PIL images, so the logits are theirs too.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastconv.errors import ArgumentError, DTypeError, ShapeError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class Transform:
    """What transform_for gives: transform(picture) -> (crop, crop, C) float32; transform([picture,
    ...]) -> (N, crop, crop, C). A picture is a path, a PIL image, or an array of uint8, (H, W, 3)
    or (H, W).
    """

    resize: int
    crop: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pictures) -> np.ndarray:
        if isinstance(pictures, list | tuple):
            if not pictures:
                raise ArgumentError("Transform: there is no picture in the list")
            return np.stack([self._one(picture) for picture in pictures])
        return self._one(pictures)

    def _one(self, picture):
        from PIL import Image

        picture = opened(picture).convert("L" if len(self.mean) == 1 else "RGB")
        width, height = picture.size
        short = min(width, height)
        # the longer side is rounded down, as torchvision does
        size = (self.resize * width // short, self.resize * height // short)
        picture = picture.resize(size, Image.Resampling[self.interpolation.upper()])
        left, top = (round((side - self.crop) / 2) for side in size)
        picture = picture.crop((left, top, left + self.crop, top + self.crop))
        x = np.asarray(picture, np.float32).reshape(self.crop, self.crop, len(self.mean))
        return (x / np.float32(255) - np.float32(self.mean)) / np.float32(self.std)


def opened(picture):
    """A path, PIL image or array of uint8 as a PIL image."""
    from PIL import Image

    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, str | Path):
        return Image.open(picture)
    array = np.asarray(picture)
    if array.dtype != np.uint8:
        raise DTypeError(
            "Transform: a picture is a path, a PIL image or an array of uint8, got"
            f" {type(picture).__name__} of {array.dtype}"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ShapeError(f"Transform: a picture is (H, W, 3) or (H, W), got {array.shape}")
    return Image.fromarray(array)


def transform_for(model) -> Transform:
    """The preprocessing of a network of fc.models, from model.info (an entry itself will do)."""
    info = getattr(model, "info", model)
    if not hasattr(info, "preprocessing"):
        raise ArgumentError(
            "transform_for: expected a network from fc.models.create_model, got"
            f" {type(model).__name__}"
        )
    given = info.preprocessing
    if given is None:
        raise ArgumentError(
            f"transform_for: {info.name} has no published preprocessing: its input is"
            f" {info.input_shape}, scaled as you trained it (fc.data.Transform makes one)"
        )
    if given.interpolation not in INTERPOLATIONS:
        raise ArgumentError(
            f"transform_for: interpolation must be one of {', '.join(INTERPOLATIONS)}, got"
            f" {given.interpolation!r}"
        )
    return Transform(given.resize, given.crop, given.interpolation, given.mean, given.std)
