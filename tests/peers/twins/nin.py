import torch.nn as tnn


def block(c, widths, size, stride, padding):
    first, second, third = widths
    return tnn.Sequential(
        tnn.Conv2d(c, first, size, stride, padding), tnn.ReLU(),
        tnn.Conv2d(first, second, 1), tnn.ReLU(),
        tnn.Conv2d(second, third, 1), tnn.ReLU(),
    )  # fmt: skip


def in_a_row(*parts):
    """Blocks are named block1, block2, ...; what lies between them has no weights."""
    model, blocks = tnn.Sequential(), 0
    for i, part in enumerate(parts):
        blocks += isinstance(part, tnn.Sequential)
        named = f"block{blocks}" if isinstance(part, tnn.Sequential) else f"between{i}"
        model.add_module(named, part)
    return model


def cifar(classes):
    return in_a_row(
        block(3, (192, 160, 96), 5, 1, 2), tnn.MaxPool2d(3, 2, ceil_mode=True),
        block(96, (192, 192, 192), 5, 1, 2), tnn.AvgPool2d(3, 2, ceil_mode=True),
        block(192, (192, 192, classes), 3, 1, 1), tnn.AdaptiveAvgPool2d(1), tnn.Flatten(),
    )  # fmt: skip


def large(channels, last, ceil_mode):
    return in_a_row(
        block(channels, (96, 96, 96), 11, 4, 0), tnn.MaxPool2d(3, 2, ceil_mode=ceil_mode),
        block(96, (256, 256, 256), 5, 1, 2), tnn.MaxPool2d(3, 2, ceil_mode=ceil_mode),
        block(256, (384, 384, 384), 3, 1, 1), tnn.MaxPool2d(3, 2, ceil_mode=ceil_mode),
        block(384, last, 3, 1, 1), tnn.AdaptiveAvgPool2d(1), tnn.Flatten(),
    )  # fmt: skip


TWINS = {
    "nin_cifar10": cifar,
    "nin_cifar100": cifar,
    "nin_imagenet": lambda classes: large(3, (1024, 1024, classes), True),
    "nin_d2l": lambda classes: large(1, (classes,) * 3, False),
}
