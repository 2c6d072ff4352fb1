"""The same networks in PyTorch, with torchvision's keys: peers to be measured and compared with.

Each takes a state dict of fc.to_torch_state_dict with strict=True. Only what a comparison needs.
"""

from functools import partial

import torch.nn as tnn

from fastconv.models.resnet import DEPTHS
from fastconv.models.vgg import BLOCKS


class Block(tnn.Module):
    """Residual block of 3x3, 3x3 or of 1x1, 3x3, 1x1, with the stride in convolution `strided`."""

    def __init__(self, c, widths, sizes, strided, stride, shortcut=True):
        super().__init__()
        self.depth, self.shortcut, out = len(sizes), shortcut, widths[-1]
        channels = c
        for i, (width, size) in enumerate(zip(widths, sizes), 1):
            s = stride if i == strided else 1
            self.add_module(f"conv{i}", tnn.Conv2d(channels, width, size, s, size // 2, bias=False))
            self.add_module(f"bn{i}", tnn.BatchNorm2d(width))
            channels = width
        self.downsample = None
        if shortcut and (stride > 1 or c != out):
            projection = tnn.Conv2d(c, out, 1, stride, bias=False)
            self.downsample = tnn.Sequential(projection, tnn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.depth:
                y = y.relu()
        if self.shortcut:
            y = y + (x if self.downsample is None else self.downsample(x))
        return y.relu()


class Flat(tnn.Module):
    def __init__(self, features, classifier, **others):
        super().__init__()
        self.features, self.classifier = features, classifier
        self.avgpool = others.get("avgpool", tnn.Identity())

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def resnet(depth, classes, v1=False, shortcut=True):
    basic = depth < 50
    stem = (tnn.Conv2d(3, 64, 7, 2, 3, bias=False), tnn.BatchNorm2d(64))
    parts = {"conv1": stem[0], "bn1": stem[1], "relu": tnn.ReLU(), "pool": tnn.MaxPool2d(3, 2, 1)}
    c = 64
    for i, blocks in enumerate(DEPTHS[depth]):
        w = 64 * 2**i
        widths, sizes = ((w, w), (3, 3)) if basic else ((w, w, 4 * w), (1, 3, 1))
        strided = 1 if basic or v1 else 2
        stage = []
        for j in range(blocks):
            stride = 2 if i and not j else 1
            stage.append(Block(c, widths, sizes, strided, stride, shortcut))
            c = widths[-1]
        parts[f"layer{i + 1}"] = tnn.Sequential(*stage)
    parts |= {"avgpool": tnn.AdaptiveAvgPool2d(1), "flat": tnn.Flatten()}
    model = tnn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    model.add_module("fc", tnn.Linear(c, classes))
    return model


def vgg(blocks, classes, map_size=7, hidden=4096, batch_norm=True):
    layers, c = [], 3
    for block in blocks:
        for k in block:
            norm = [tnn.BatchNorm2d(k)] if batch_norm else []
            layers += [tnn.Conv2d(c, k, 3, padding=1), *norm, tnn.ReLU()]
            c = k
        layers.append(tnn.MaxPool2d(2))
    head = [tnn.Linear(c * map_size**2, hidden), tnn.ReLU(), tnn.Dropout(0.5)]
    head += [tnn.Linear(hidden, hidden), tnn.ReLU(), tnn.Dropout(0.5), tnn.Linear(hidden, classes)]
    pool = tnn.AdaptiveAvgPool2d(map_size)
    return Flat(tnn.Sequential(*layers), tnn.Sequential(*head), avgpool=pool)


def alexnet(classes):
    table = ((64, 11, 4, 2, 1), (192, 5, 1, 2, 1), (384, 3, 1, 1, 0), (256, 3, 1, 1, 0))
    layers, c = [], 3
    for k, size, stride, padding, pool in (*table, (256, 3, 1, 1, 1)):
        layers += [tnn.Conv2d(c, k, size, stride, padding), tnn.ReLU()]
        layers += [tnn.MaxPool2d(3, 2)] * pool
        c = k
    head = (tnn.Dropout(0.5), tnn.Linear(9216, 4096), tnn.ReLU(), tnn.Dropout(0.5))
    head += (tnn.Linear(4096, 4096), tnn.ReLU(), tnn.Linear(4096, classes))
    pool = tnn.AdaptiveAvgPool2d(6)
    return Flat(tnn.Sequential(*layers), tnn.Sequential(*head), avgpool=pool)


def alexnet_2012(classes):
    norm = tnn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    parts = {
        "conv1": tnn.Conv2d(3, 96, 11, 4), "r1": tnn.ReLU(), "n1": norm, "p1": tnn.MaxPool2d(3, 2),
        "conv2": tnn.Conv2d(96, 256, 5, 1, 2, groups=2), "r2": tnn.ReLU(), "n2": norm,
        "p2": tnn.MaxPool2d(3, 2),
        "conv3": tnn.Conv2d(256, 384, 3, 1, 1), "r3": tnn.ReLU(),
        "conv4": tnn.Conv2d(384, 384, 3, 1, 1, groups=2), "r4": tnn.ReLU(),
        "conv5": tnn.Conv2d(384, 256, 3, 1, 1, groups=2), "r5": tnn.ReLU(),
        "p5": tnn.MaxPool2d(3, 2), "flat": tnn.Flatten(),
        "fc6": tnn.Linear(9216, 4096), "r6": tnn.ReLU(), "d6": tnn.Dropout(0.5),
        "fc7": tnn.Linear(4096, 4096), "r7": tnn.ReLU(), "d7": tnn.Dropout(0.5),
        "fc8": tnn.Linear(4096, classes),
    }  # fmt: skip
    model = tnn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return model


def lenet5(classes):
    parts = {
        "conv1": tnn.Conv2d(1, 6, 5), "a1": tnn.Tanh(), "pool1": tnn.AvgPool2d(2),
        "conv2": tnn.Conv2d(6, 16, 5), "a2": tnn.Tanh(), "pool2": tnn.AvgPool2d(2),
        "flat": tnn.Flatten(), "fc1": tnn.Linear(400, 120), "a3": tnn.Tanh(),
        "fc2": tnn.Linear(120, 84), "a4": tnn.Tanh(), "fc3": tnn.Linear(84, classes),
    }  # fmt: skip
    model = tnn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return model


def _twins():
    twins = {
        "lenet5": lenet5,
        "alexnet": alexnet,
        "alexnet_2012": alexnet_2012,
    }
    for depth, blocks in BLOCKS.items():
        twins[f"vgg{depth}"] = partial(vgg, blocks, batch_norm=False)
        twins[f"vgg{depth}_bn"] = partial(vgg, blocks)
    for depth in DEPTHS:
        twins[f"resnet{depth}"] = partial(resnet, depth)
        twins[f"resnet{depth}_v1"] = partial(resnet, depth, v1=True)
        twins[f"plain{depth}"] = partial(resnet, depth, shortcut=False)
    return twins


TWINS = _twins()  # by the registered name: function of the number of classes
