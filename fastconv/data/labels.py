"""Names of classes."""

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1,000 classes of ILSVRC 2012 in the order of the logits, named as torchvision has them;
    two differ in case only (Cardigan is a dog, cardigan a garment)."""
    return tuple((files("fastconv.data") / "imagenet_classes.txt").read_text().splitlines())
