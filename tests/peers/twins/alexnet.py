from functools import partial

import torch.nn as tnn

from fastconv.bench.torch_networks import alexnet_2012


def one_stream(classes, hidden=2, batch_norm=False):
    """The paper's widths in one stream, without response norm; batch norm after two poolings."""

    def norm(channels):
        return tnn.BatchNorm2d(channels, eps=1e-3, momentum=0.01) if batch_norm else tnn.Identity()

    parts = {
        "conv1": tnn.Conv2d(3, 96, 11, 4), "r1": tnn.ReLU(), "p1": tnn.MaxPool2d(3, 2),
        "bn1": norm(96),
        "conv2": tnn.Conv2d(96, 256, 5, 1, 2), "r2": tnn.ReLU(), "p2": tnn.MaxPool2d(3, 2),
        "bn2": norm(256),
        "conv3": tnn.Conv2d(256, 384, 3, 1, 1), "r3": tnn.ReLU(),
        "conv4": tnn.Conv2d(384, 384, 3, 1, 1), "r4": tnn.ReLU(),
        "conv5": tnn.Conv2d(384, 256, 3, 1, 1), "r5": tnn.ReLU(),
        "p5": tnn.MaxPool2d(3, 2), "flat": tnn.Flatten(),
    }  # fmt: skip
    features = 9216
    for i in range(6, 6 + hidden):
        parts |= {f"fc{i}": tnn.Linear(features, 4096), f"r{i}": tnn.ReLU()}
        features = 4096
    parts[f"fc{6 + hidden}"] = tnn.Linear(features, classes)
    model = tnn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return model


TWINS = {
    "alexnet_2012": alexnet_2012,
    "alexnet_single": one_stream,
    "alexnet_003": partial(one_stream, hidden=1),
    "alexnet_bn": partial(one_stream, batch_norm=True),
}
