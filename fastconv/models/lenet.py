"""LeNet-5, LeCun et al. 1998, "Gradient-based learning applied to document recognition".

    lenet5       today's form: complete C3, plain pooling, three linear layers; 61,706 parameters
    lenet5_28    the same for images of 28 x 28, padded to 32 x 32 by the first convolution
    lenet5_1998  the network of the paper: 60,000 trained parameters and 840 fixed ones
    lenet_caffe  Caffe's LeNet, another network: 20 and 50 maps, 500 units, ReLU once

Images (N, 32, 32, 1), of lenet5_28 and lenet_caffe (N, 28, 28, 1). The paper scales pixels so that
background is -0.1 and ink 1.175.
"""

import numpy as np

from fastconv import functional as F
from fastconv import nn
from fastconv.errors import ArgumentError
from fastconv.models.head import classifier
from fastconv.models.info import Architecture
from fastconv.models.registry import register

LENET_5 = Architecture(
    name="LeNet-5",
    title="Gradient-Based Learning Applied to Document Recognition",
    authors="LeCun, Bottou, Bengio, Haffner",
    year=1998,
    link="Proceedings of the IEEE 86(11)",
    introduced="convolution and subsampling in turns, trained from end to end by gradients",
)

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


class LeNet5(nn.Module):
    """Two 5x5 convolutions, each with 2x2 pooling, then linear layers 120, 84, num_classes."""

    def __init__(self, num_classes=10, in_channels=1, activation="tanh", pooling="avg", padding=0):
        super().__init__()
        act = chosen(ACTIVATIONS, activation, "activation")
        pool = chosen(POOLINGS, pooling, "pooling")
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=padding)
        self.pool1 = pool(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool2 = pool(2, 2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear((5, 5, 16), 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = classifier(84, num_classes)
        self.act = act()

    def forward_features(self, x):
        """The maps that the linear layers read, (N, 5, 5, 16)."""
        x = self.pool1(self.act(self.conv1(x)))
        return self.pool2(self.act(self.conv2(x)))

    def forward(self, x):
        x = self.forward_features(x)
        x = self.act(self.fc1(self.flatten(x)))
        return self.fc3(self.act(self.fc2(x)))


class CaffeLeNet(nn.Module):
    """Two 5x5 convolutions, each with 2x2 max pooling, then linear layers 500, num_classes.

    No activation follows the convolutions. Attribute names are Caffe's.
    """

    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 20, 5)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool2 = nn.MaxPool2d(2, 2)
        self.flatten = nn.Flatten()
        self.ip1 = nn.Linear((4, 4, 50), 500)
        self.relu1 = nn.ReLU()
        self.ip2 = classifier(500, num_classes)
        for module in self.modules():  # "xavier" of Caffe's example
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.lecun_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps that the linear layers read, (N, 4, 4, 50)."""
        x = self.pool1(self.conv1(x))
        return self.pool2(self.conv2(x))

    def forward(self, x):
        x = self.flatten(self.forward_features(x))
        return self.ip2(self.relu1(self.ip1(x)))


def chosen(table, name, argument):
    """table[name], or ArgumentError with the names that there are."""
    if name not in table:
        raise ArgumentError(f"lenet5: {argument} must be one of {', '.join(table)}, got {name!r}")
    return table[name]


# LeCun et al. 1998, table I: which maps of S2 (crosses of a column) each map of C3 reads
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# 7x12 pictures of the digits in the manner of figure 3; ink is +1, paper -1
BITMAPS = """
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.#...#. ..##... #.....# #.....# ...#.#. #...... .#..... ......# #.....# #.....#
#.....# .#.#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# ......# .#...#. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. ..####. #....#. ######. #.####. ....#.. .#####. .######
#.....# ...#... ...##.. ......# ####### ......# ##....# ....#.. #.....# ......#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# .#....# ..#.... #.....# .....#.
..###.. .#####. ####### .#####. .....#. .#####. ..####. ..#.... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


def digit_codes():
    """Target of F6 for each digit: its 7x12 bitmap as +1 and -1, row by row; (10, 84) float32."""
    rows = [line.split() for line in BITMAPS.strip().splitlines()]
    digits = ["".join(row[digit] for row in rows) for digit in range(10)]
    return np.array([[1 if c == "#" else -1 for c in d] for d in digits], np.float32)


class LeNet51998(nn.Module):
    """C1 S2 C3 S4 C5 F6, each squashed by A*tanh(S*a), and the Euclidean RBF output (figure 2).

    Gives distances (N, num_classes): the smallest is the answer; train with map_loss.
    """

    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        codes = digit_codes()
        if num_classes > len(codes):
            raise ArgumentError(
                f"lenet5_1998: num_classes must be at most {len(codes)}, the digits that have a"
                f" bitmap to aim at, got {num_classes}"
            )
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = nn.TrainableSubsampling(6)
        self.c3 = nn.PartialConv2d(6, C3_TABLE, 5)
        self.s4 = nn.TrainableSubsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.rbf = nn.RBF(codes[:num_classes]) if num_classes else nn.Identity()
        self.squash = nn.ScaledTanh(1.7159, 2 / 3)
        self.initialise()

    def initialise(self):
        """Uniform in +-2.4/F, F the inputs of one unit (appendix A); S2 and S4 start so already."""
        for layer in (self.c1, self.c5, self.f6):
            fan_in, _ = nn.init.fans(layer.weight)
            nn.init.lecun_1998_(layer.weight)
            nn.init.lecun_1998_(layer.bias, fan_in)
        # a map of C3 has as many inputs as the table gives it
        fan_in = np.array([25 * len(maps) for maps in C3_TABLE])
        bound = 2.4 / fan_in
        nn.init.uniform_(self.c3.bias, -bound, bound)
        bound = np.repeat(bound, fan_in)
        nn.init.uniform_(self.c3.weight, -bound, bound)

    def forward_features(self, x):
        """The maps of C5, (N, 1, 1, 120)."""
        x = self.squash(self.s2(self.squash(self.c1(x))))
        x = self.squash(self.s4(self.squash(self.c3(x))))
        return self.squash(self.c5(x))

    def forward(self, x):
        x = self.forward_features(x)
        x = self.squash(self.f6(self.flatten(x)))
        return self.rbf(x)

    def loss(self, distances, labels):
        """map_loss: what this network is trained with in place of cross-entropy."""
        return map_loss(distances, labels)


def map_loss(distances, labels, j=0.1):
    """Mean over the batch of y[label] + log(exp(-j) + sum_i exp(-y[i])): equation 9, MAP criterion.

    distances y (N, classes) of the RBF output, labels (N,) integers. It is the cross-entropy of -y
    with one class more, "none of them", at the constant distance j; no label ever names that one.
    """
    none_of_them = distances[:, :1] * 0 - j
    return F.cross_entropy(F.concat([-distances, none_of_them], axis=1), labels)


@register(
    LENET_5,
    params=61_706,
    macs=416_520,
    input_shape=(32, 32, 1),
    preprocessing=None,
    source="LeCun et al. 1998, figure 2, in today's form",
)
def lenet5(num_classes=10, in_channels=1, activation="tanh", pooling="avg"):
    return LeNet5(num_classes, in_channels, activation, pooling)


@register(
    LENET_5,
    params=60_000,
    macs=325_680,
    input_shape=(32, 32, 1),
    preprocessing=None,
    source="LeCun et al. 1998, figure 2, table I, appendix A",
)
def lenet5_1998(num_classes=10, in_channels=1):
    return LeNet51998(num_classes, in_channels)


@register(
    LENET_5,
    params=61_706,
    macs=416_520,
    input_shape=(28, 28, 1),
    preprocessing=None,
    source="LeCun et al. 1998, figure 2, in today's form, for images of MNIST as they are",
)
def lenet5_28(num_classes=10, in_channels=1, activation="tanh", pooling="avg"):
    return LeNet5(num_classes, in_channels, activation, pooling, padding=2)


@register(
    LENET_5,
    params=431_080,
    macs=2_293_000,
    input_shape=(28, 28, 1),
    preprocessing=None,
    source="Caffe's example for MNIST",
)
def lenet_caffe(num_classes=10, in_channels=1):
    return CaffeLeNet(num_classes, in_channels)
