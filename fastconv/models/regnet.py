"""RegNet: networks from a design space of four numbers. Radosavovic et al. 2020 (arXiv 2003.13678).

    u_j = w_0 + w_a * j                 a line of widths over the blocks j = 0 .. depth - 1
    w_j = w_0 * w_m^round(log_wm(u_j / w_0)), to the nearest multiple of 8

Blocks of equal width are a stage; its width is then made a multiple of the group width. A block
(X): 1x1, grouped 3x3, 1x1, plus x; Y adds squeeze-and-excitation behind the 3x3. Every stage halves
H and W. Images (N, H, W, C). Attribute names are torchvision's.
"""

from functools import partial
from itertools import groupby
from math import log
from typing import NamedTuple

from fastconv import nn
from fastconv.models.blocks import ConvNorm, Named, divisible
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

REGNET = Architecture(
    name="RegNet",
    title="Designing Network Design Spaces",
    authors="Radosavovic, Kosaraju, Girshick, He, Dollár",
    year=2020,
    link="arXiv 2003.13678",
    introduced="a space of simple networks whose widths follow a quantised line, instead of one"
    " network found by search",
    descends_from=("ResNeXt", "SENet"),
)


class Design(NamedTuple):
    """The parameters of a network in the design space."""

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int

    def stages(self, upwards=False):
        """[(width, depth)] of each stage.

        Widths are rounded to the nearest multiple of the group width. upwards: up where two are
        equally near or the lower one is below nine tenths, as in torchvision, where this makes
        three networks wider than they are by the paper's code.
        """
        widths = []
        for j in range(self.depth):
            u = self.w_0 + self.w_a * j
            power = round(log(u / self.w_0) / log(self.w_m))
            widths.append(8 * round(self.w_0 * self.w_m**power / 8))
        stages = []
        for width, blocks in groupby(widths):
            group = min(self.group_width, width)
            rounded = divisible(width, group) if upwards else round(width / group) * group
            stages.append((rounded, len(list(blocks))))
        return stages


class Block(nn.Module):
    """relu(F(x) + x); F: 1x1 (a), grouped 3x3 with the stride (b), squeeze (se), 1x1 (c).

    The squeeze has a quarter of in_channels. Where the shape changes x goes through a 1x1 (proj).
    """

    def __init__(self, in_channels, width, stride, group_width, squeeze):
        super().__init__()
        self.proj = None
        if stride > 1 or in_channels != width:
            self.proj = ConvNorm(in_channels, width, stride=stride)
        groups = width // min(group_width, width)
        layers = [
            ("a", ConvNorm(in_channels, width, act="relu")),
            ("b", ConvNorm(width, width, 3, stride, groups, act="relu")),
        ]
        if squeeze:
            layers.append(("se", nn.SqueezeExcitation(width, round(in_channels / 4))))
        self.f = Named([*layers, ("c", ConvNorm(width, width, act="relu"))])

    def forward(self, x):
        *layers, last = self.f
        y = x
        for layer in layers:
            y = layer(y)
        return last(y, residual=x if self.proj is None else self.proj(x))


def timms_names():
    """(pattern, replacement) from timm's names to ours."""
    parts = (("conv", 0), ("bn", 1))
    for name, number in parts:
        yield rf"^stem\.{name}\.", f"stem.{number}."
    yield r"^head\.fc\.", "fc."
    # blocks count from 1 there
    yield r"^s(\d)\.b(\d+)\.", lambda m: f"trunk_output.block{m[1]}.block{m[1]}-{int(m[2]) - 1}."
    yield r"(-\d+)\.se\.", r"\1.f.se."
    for name, number in parts:
        yield rf"(-\d+)\.downsample\.{name}\.", rf"\1.proj.{number}."
        for i, letter in enumerate("abc", 1):
            yield rf"(-\d+)\.conv{i}\.{name}\.", rf"\1.f.{letter}.{number}."


class RegNet(nn.Module):
    """3x3 stem of 32 channels, four stages, global average, one linear layer.

    design: a Design; squeeze: RegNetY; upwards: see Design.stages.
    """

    key_map = tuple(timms_names())

    def __init__(self, design, squeeze, num_classes=1000, in_channels=3, upwards=False):
        super().__init__()
        self.stem = ConvNorm(in_channels, 32, 3, 2, act="relu")
        channels, stages = 32, []
        for i, (width, depth) in enumerate(design.stages(upwards), 1):
            blocks = []
            for j in range(depth):
                stride = 2 if j == 0 else 1
                block = Block(channels, width, stride, design.group_width, squeeze)
                blocks.append((f"block{i}-{j}", block))
                channels = width
            stages.append((f"block{i}", Named(blocks)))
        self.trunk_output = Named(stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = classifier(channels, num_classes)
        for module in self.modules():  # as torchvision: the fan-out does not count groups
            if isinstance(module, nn.Conv2d):
                nn.init.he_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps of the last stage, (N, 7, 7, C) for 224 x 224."""
        return self.trunk_output(self.stem(x))

    def forward(self, x):
        x = self.avgpool(self.forward_features(x))
        return self.fc(self.flatten(x))


# Radosavovic et al. 2020, figures 15 (X) and 16 (Y)
#               depth w_0  w_a     w_m   group width
X = {
    "200mf": Design(13, 24,  36.44,  2.49, 8),
    "400mf": Design(22, 24,  24.48,  2.54, 16),
    "800mf": Design(16, 56,  35.73,  2.28, 16),
    "1_6gf": Design(18, 80,  34.01,  2.25, 24),
    "3_2gf": Design(25, 88,  26.31,  2.25, 48),
    "4gf":   Design(23, 96,  38.65,  2.43, 40),
    "8gf":   Design(23, 80,  49.56,  2.88, 120),
    "16gf":  Design(22, 216, 55.59,  2.1,  128),
    "32gf":  Design(23, 320, 69.86,  2.0,  168),
}  # fmt: skip
Y = {
    "200mf": Design(13, 24,  36.44,  2.49, 8),
    "400mf": Design(16, 48,  27.89,  2.09, 8),
    "800mf": Design(14, 56,  38.84,  2.4,  16),
    "1_6gf": Design(27, 48,  20.71,  2.65, 24),
    "3_2gf": Design(21, 80,  42.63,  2.66, 24),
    "4gf":   Design(22, 96,  31.41,  2.24, 64),
    "8gf":   Design(17, 192, 76.82,  2.19, 56),
    "16gf":  Design(18, 200, 106.23, 2.48, 112),
    "32gf":  Design(20, 232, 115.89, 2.53, 232),
    "128gf": Design(27, 456, 160.83, 2.52, 264),  # Singh et al. 2022 (arXiv 2201.08371)
}  # fmt: skip

_CROP = "ImageNet validation, one 224 x 224 crop"


def published(error, top1=None, top5=None, where="torchvision's weights IMAGENET1K_V2"):
    """The paper's error (None: not of this network) as top-1, and what others' weights reach."""
    figures = []
    if error is not None:
        figures.append(
            Accuracy(round(100 - error, 1), None, _CROP, "MODEL_ZOO of facebookresearch/pycls")
        )
    if top1 is not None:
        figures.append(Accuracy(top1, top5, _CROP, where))
    return tuple(figures)


# torchvision's weights of the second version are evaluated at 232, timm's with bicubic resizing, as
# are its copies of torchvision's: key_map fits them, but they are nobody's `weights`
_FIGURES = "Radosavovic et al. 2020, figures 15 (X) and 16 (Y)"
_WIDER = _FIGURES + "; widths as torchvision rounds them"
_torchvision = partial(register, REGNET, preprocessing=Preprocessing(232, 224), source=_FIGURES)
_timm = partial(register, REGNET, preprocessing=Preprocessing(256, 224, "bicubic"), source=_FIGURES)


@_torchvision(
    params=5_495_976,
    macs=413_812_608,
    source=_WIDER,
    accuracy=published(None, 74.864, 92.322),
    aliases=("regnetx_004_tv",),
)
def regnet_x_400mf(num_classes=1000, in_channels=3):
    return RegNet(X["400mf"], False, num_classes, in_channels, upwards=True)


@_torchvision(
    params=7_259_656,
    macs=799_699_712,
    accuracy=published(24.8, 77.522, 93.826),
    aliases=("regnetx_008",),
)
def regnet_x_800mf(num_classes=1000, in_channels=3):
    return RegNet(X["800mf"], False, num_classes, in_channels)


@_torchvision(
    params=9_190_136,
    macs=1_602_849_792,
    accuracy=published(23.0, 79.668, 94.922),
    aliases=("regnetx_016",),
)
def regnet_x_1_6gf(num_classes=1000, in_channels=3):
    return RegNet(X["1_6gf"], False, num_classes, in_channels)


@_torchvision(
    params=15_296_552,
    macs=3_176_621_952,
    accuracy=published(21.7, 81.196, 95.43),
    aliases=("regnetx_032",),
)
def regnet_x_3_2gf(num_classes=1000, in_channels=3):
    return RegNet(X["3_2gf"], False, num_classes, in_channels)


@_torchvision(
    params=39_572_648,
    macs=7_995_132_416,
    accuracy=published(20.7, 81.682, 95.678),
    aliases=("regnetx_080",),
)
def regnet_x_8gf(num_classes=1000, in_channels=3):
    return RegNet(X["8gf"], False, num_classes, in_channels)


@_torchvision(
    params=54_278_536,
    macs=15_940_755_456,
    source=_FIGURES,
    accuracy=published(20.0, 82.716, 96.196),
    aliases=("regnetx_160",),
)
def regnet_x_16gf(num_classes=1000, in_channels=3):
    return RegNet(X["16gf"], False, num_classes, in_channels)


@_torchvision(
    params=107_811_560,
    macs=31_735_929_792,
    source=_FIGURES,
    accuracy=published(19.5, 83.014, 96.288),
    aliases=("regnetx_320",),
)
def regnet_x_32gf(num_classes=1000, in_channels=3):
    return RegNet(X["32gf"], False, num_classes, in_channels)


@_torchvision(
    params=4_344_144,
    macs=401_842_848,
    accuracy=published(25.9, 75.804, 92.742),
    aliases=("regnety_004",),
)
def regnet_y_400mf(num_classes=1000, in_channels=3):
    return RegNet(Y["400mf"], True, num_classes, in_channels)


@_torchvision(
    params=6_432_512,
    macs=833_856_256,
    source=_WIDER,
    accuracy=published(None, 78.828, 94.502),
    aliases=("regnety_008_tv",),
)
def regnet_y_800mf(num_classes=1000, in_channels=3):
    return RegNet(Y["800mf"], True, num_classes, in_channels, upwards=True)


@_torchvision(
    params=11_202_430,
    macs=1_612_076_160,
    accuracy=published(22.1, 80.876, 95.444),
    aliases=("regnety_016",),
)
def regnet_y_1_6gf(num_classes=1000, in_channels=3):
    return RegNet(Y["1_6gf"], True, num_classes, in_channels)


@_torchvision(
    params=19_436_338,
    macs=3_176_482_752,
    accuracy=published(21.1, 81.982, 95.972),
    aliases=("regnety_032",),
)
def regnet_y_3_2gf(num_classes=1000, in_channels=3):
    return RegNet(Y["3_2gf"], True, num_classes, in_channels)


@_torchvision(
    params=39_381_472,
    macs=8_473_070_592,
    source=_WIDER,
    accuracy=published(None, 82.828, 96.33),
    aliases=("regnety_080_tv",),
)
def regnet_y_8gf(num_classes=1000, in_channels=3):
    return RegNet(Y["8gf"], True, num_classes, in_channels, upwards=True)


@_torchvision(
    params=83_590_140,
    macs=15_911_510_272,
    source=_FIGURES,
    accuracy=published(19.6, 82.886, 96.328),
    aliases=("regnety_160",),
)
def regnet_y_16gf(num_classes=1000, in_channels=3):
    return RegNet(Y["16gf"], True, num_classes, in_channels)


@_torchvision(
    params=145_046_770,
    macs=32_279_552_832,
    source=_FIGURES,
    accuracy=published(19.1, 83.368, 96.498),
    aliases=("regnety_320",),
)
def regnet_y_32gf(num_classes=1000, in_channels=3):
    return RegNet(Y["32gf"], True, num_classes, in_channels)


@_torchvision(
    params=644_812_894,
    macs=127_517_815_680,
    source="Singh et al. 2022 (arXiv 2201.08371)",
    preprocessing=Preprocessing(224, 224, "bicubic"),
    accuracy=published(None, 86.068, 97.844, "torchvision's weights IMAGENET1K_SWAG_LINEAR_V1"),
    aliases=("regnety_1280",),
)
def regnet_y_128gf(num_classes=1000, in_channels=3):
    return RegNet(Y["128gf"], True, num_classes, in_channels)


@_timm(
    params=2_684_792,
    macs=199_039_872,
    accuracy=published(31.1, 68.758, 88.568, "timm's table, regnetx_002.pycls_in1k"),
    weights="timm/regnetx_002.pycls_in1k",
)
def regnetx_002(num_classes=1000, in_channels=3):
    return RegNet(X["200mf"], False, num_classes, in_channels)


@_timm(
    params=5_157_512,
    macs=397_677_568,
    accuracy=published(27.4),
    weights="timm/regnetx_004.pycls_in1k",
)
def regnetx_004(num_classes=1000, in_channels=3):
    return RegNet(X["400mf"], False, num_classes, in_channels)


@_timm(
    params=22_118_248,
    macs=3_964_498_816,
    accuracy=published(21.4),
    weights="timm/regnetx_040.pycls_in1k",
)
def regnetx_040(num_classes=1000, in_channels=3):
    return RegNet(X["4gf"], False, num_classes, in_channels)


@_timm(
    params=3_162_996,
    macs=199_514_080,
    accuracy=published(29.7, 70.288, 89.544, "timm's table, regnety_002.pycls_in1k"),
    weights="timm/regnety_002.pycls_in1k",
)
def regnety_002(num_classes=1000, in_channels=3):
    return RegNet(Y["200mf"], True, num_classes, in_channels)


@_timm(
    params=20_646_656,
    macs=3_973_288_448,
    accuracy=published(20.6),
    weights="timm/regnety_040.pycls_in1k",
)
def regnety_040(num_classes=1000, in_channels=3):
    return RegNet(Y["4gf"], True, num_classes, in_channels)
