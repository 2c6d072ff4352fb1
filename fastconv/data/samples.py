"""The pictures in the package (credits beside them) as batches of network input."""

from importlib.resources import files

import numpy as np

from fastconv.errors import ArgumentError

PHOTOGRAPHS = ("astronaut.jpg", "chelsea.jpg", "coffee.jpg")

# per-channel mean and standard deviation of ImageNet's training pictures in [0, 1], as torchvision
# uses them
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _open(name):
    from PIL import Image

    return Image.open(files("fastconv.data") / "pictures" / name)


def photograph(name: str):
    """One of PHOTOGRAPHS as a PIL image: photograph("chelsea.jpg"), a cat of 451 x 300 pixels."""
    if name not in PHOTOGRAPHS:
        raise ArgumentError(f"photograph: there are {', '.join(PHOTOGRAPHS)}, not {name!r}")
    picture = _open(name)
    picture.load()  # and close the file
    return picture


def photograph_batch(n: int, size: int = 224) -> np.ndarray:
    """n photographs (n, size, size, 3), float32, normalised with ImageNet's mean and deviation.

    The three photographs in turn: shorter side resized to size * 8 / 7 (256 for 224), then a crop
    of size x size; crops after the first three move over the picture, so that no two images are
    equal.
    """
    from PIL import Image

    batch = np.empty((n, size, size, 3), np.float32)
    pictures = []
    for name in PHOTOGRAPHS:
        picture = _open(name).convert("RGB")
        scale = size * 8 / 7 / min(picture.size)
        new_size = [max(size, round(side * scale)) for side in picture.size]
        pictures.append(picture.resize(new_size, Image.Resampling.BILINEAR))
    for i in range(n):
        picture = pictures[i % len(pictures)]
        room_x, room_y = picture.width - size, picture.height - size
        step = i // len(pictures)
        left = (room_x // 2 + 7 * step) % (room_x + 1)
        top = (room_y // 2 + 5 * step) % (room_y + 1)
        batch[i] = picture.crop((left, top, left + size, top + size))
    batch /= 255
    batch -= np.float32(IMAGENET_MEAN)
    batch /= np.float32(IMAGENET_STD)
    return batch


def digit_batch(n: int, size: int = 32) -> np.ndarray:
    """n of 100 handwritten digits (n, size, size, 1), float32, background -0.1 and ink up to 1.175.

    Each 8 x 8 digit is enlarged to fill all but a border of 1/8, as LeNet-5's 28 in 32 (LeCun et
    al. 1998, section II.B, where the grey levels come from too).
    """
    from PIL import Image

    page = _open("digits.png")
    border = size // 16
    inner = size - 2 * border
    batch = np.zeros((n, size, size, 1), np.float32)
    for i in range(n):
        row, column = divmod(i % 100, 10)
        digit = page.crop((8 * column, 8 * row, 8 * column + 8, 8 * row + 8))
        digit = digit.resize((inner, inner), Image.Resampling.BILINEAR)
        batch[i, border : border + inner, border : border + inner, 0] = digit
    batch *= np.float32(1.275 / 255)
    batch -= np.float32(0.1)
    return batch
