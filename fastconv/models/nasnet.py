"""NASNet-A: two cells found by search on small images, stacked for large ones. Zoph et al. 2017
(arXiv 1707.07012).

A cell reads the two maps before it: h, the latest, and p, the one before, each brought to the
cell's width by a 1x1 convolution. sep k is (relu, depthwise k x k, 1x1, batch norm) twice.

    normal      p | sep5(h) + sep3(p) | sep5(p) + sep3(p) | avg(h) + p | avg(p) + avg(p)
                | sep3(h) + h                                              6 widths of channels
    reduction   b1 | b2 | avg(b0) + b1 | sep3(b0) + max(h)                 4 widths, half H and W
                b0 = sep5(h) + sep7(p), b1 = max(h) + sep7(p), b2 = avg(h) + sep5(p)

Images (N, H, W, C). Stride 2 pads as TensorFlow does, the odd pixel at the end, and averages do not
count padding. Attribute names are timm's nasnetalarge's, but for what halves p.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.info import Architecture
from fastconv.models.registry import register
from fastconv.models.searched import (
    ConvNorm,
    FactorizedReduction,
    SearchedNet,
    Separable,
    photographs,
    slim,
)

NASNET_A = Architecture(
    name="NASNet-A",
    title="Learning Transferable Architectures for Scalable Image Recognition",
    authors="Zoph, Vasudevan, Shlens, Le",
    year=2017,
    link="arXiv 1707.07012",
    introduced="a search for cells on CIFAR-10 instead of whole networks, and their transfer to"
    " ImageNet",
    descends_from=("Inception-v4", "Xception"),
)


def average(stride=1):
    """3x3, of what lies in the image."""
    return nn.AvgPool2d(3, stride, "same" if stride > 1 else 1, count_include_pad=False)


class NormalCell(nn.Module):
    """See above. adjust: what brings the map before to `width` channels, ConvNorm or
    FactorizedReduction."""

    def __init__(self, prev_channels, in_channels, width, adjust):
        super().__init__()
        self.conv_prev_1x1 = adjust(prev_channels, width)
        self.conv_1x1 = ConvNorm(in_channels, width)
        self.comb_iter_0_left = Separable(width, width, 5)
        self.comb_iter_0_right = Separable(width, width, 3)
        self.comb_iter_1_left = Separable(width, width, 5)
        self.comb_iter_1_right = Separable(width, width, 3)
        self.comb_iter_2_left = average()
        self.comb_iter_3_left = average()
        self.comb_iter_3_right = average()
        self.comb_iter_4_left = Separable(width, width, 3)

    def forward(self, x, prev):
        p, h = self.conv_prev_1x1(prev), self.conv_1x1(x)
        rp, rh = F.relu(p), F.relu(h)
        parts = [
            p,
            self.comb_iter_0_left(rh, self.comb_iter_0_right(rp)),
            self.comb_iter_1_left(rp, self.comb_iter_1_right(rp)),
            self.comb_iter_2_left(h) + p,
            self.comb_iter_3_left(p) + self.comb_iter_3_right(p),
            self.comb_iter_4_left(rh, h),
        ]
        return F.concat(parts, axis=3)


class ReductionCell(nn.Module):
    """See above. adjust: as NormalCell's; None: the first cell reads the map before as it is."""

    def __init__(self, prev_channels, in_channels, width, adjust):
        super().__init__()
        self.conv_prev_1x1 = adjust(prev_channels, width) if adjust else nn.Identity()
        p = width if adjust else prev_channels
        self.conv_1x1 = ConvNorm(in_channels, width)
        self.comb_iter_0_left = Separable(width, width, 5, 2)
        self.comb_iter_0_right = Separable(p, width, 7, 2)
        self.comb_iter_1_left = nn.MaxPool2d(3, 2, "same")
        self.comb_iter_1_right = Separable(p, width, 7, 2)
        self.comb_iter_2_left = average(2)
        self.comb_iter_2_right = Separable(p, width, 5, 2)
        self.comb_iter_3_right = average()
        self.comb_iter_4_left = Separable(width, width, 3)
        self.comb_iter_4_right = nn.MaxPool2d(3, 2, "same")

    def forward(self, x, prev):
        p, h = self.conv_prev_1x1(prev), self.conv_1x1(x)
        rp, rh = F.relu(p), F.relu(h)
        b0 = self.comb_iter_0_left(rh, self.comb_iter_0_right(rp))
        b1 = self.comb_iter_1_right(rp, self.comb_iter_1_left(h))
        b2 = self.comb_iter_2_right(rp, self.comb_iter_2_left(h))
        b3 = self.comb_iter_3_right(b0) + b1
        b4 = self.comb_iter_4_left(F.relu(b0), self.comb_iter_4_right(h))
        return F.concat([b1, b2, b3, b4], axis=3)


class NASNet(SearchedNet):
    """3x3 stem, two reduction cells, then three times `repeats` normal cells with a reduction cell
    between; "repeats @ channels" in the paper.

    stem: channels of the 3x3; channels: of the last map. skip_reduction: the cell behind a
    reduction takes for p what the reduction took, not what lies between. aux_size: rows of the
    map at two thirds of the cells, which an auxiliary head reads; None: there is no such head.
    """

    # timm's names: what halves the map before is no module of its own there
    key_map = ((r"\.(path_[12]|final_path_bn)\.", r".conv_prev_1x1.\1."),)

    def __init__(
        self,
        stem,
        channels,
        repeats,
        skip_reduction,
        num_classes=1000,
        in_channels=3,
        dropout=0.0,
        aux_size=None,
    ):
        super().__init__()
        width = channels // 24
        self.conv0 = ConvNorm(in_channels, stem, 3, 2, rectify=False)
        self.cell_stem_0 = ReductionCell(stem, stem, width // 4, None)
        self.cell_stem_1 = ReductionCell(stem, width, width // 2, FactorizedReduction)
        self.skip_reduction = skip_reduction
        self.cells = []
        prev, now = width, 2 * width  # channels of the maps
        for i in range(3):
            if i > 0:
                self._add(f"reduction_cell_{i - 1}", ReductionCell(prev, now, 2 * width, ConvNorm))
                width *= 2
                prev, now = prev if skip_reduction else now, 4 * width
            for j in range(repeats):
                adjust = FactorizedReduction if j == 0 else ConvNorm
                # the largest network has six cells, and these are their names in all
                self._add(f"cell_{6 * i + j}", NormalCell(prev, now, width, adjust))
                prev, now = now, 6 * width
        self.classify(channels, num_classes, dropout, aux_size)

    def _add(self, name, cell):
        setattr(self, name, cell)
        self.cells.append(name)

    def cells_of(self, x):
        """(the last map, the one before the second reduction)."""
        x = self.conv0(x)
        prev, x = x, self.cell_stem_0(x, x)
        prev, x = x, self.cell_stem_1(x, prev)
        middle = None
        for name in self.cells:
            cell = getattr(self, name)
            if name == "reduction_cell_1":
                middle = x
            y = cell(x, prev)
            if not (self.skip_reduction and isinstance(cell, ReductionCell)):
                prev = x
            x = y
        return x, middle


@register(
    NASNET_A,
    params=5_289_978,
    macs=563_638_816,
    source="Zoph et al. 2017: NASNet-A (4 @ 1056)",
    accuracy=(slim(74.0, 91.6, 224),),
    preprocessing=photographs(256, 224),
)
def nasnet_mobile(num_classes=1000, in_channels=3, aux_heads=False):
    aux_size = 14 if aux_heads else None
    return NASNet(32, 1056, 4, False, num_classes, in_channels, dropout=0.5, aux_size=aux_size)


@register(
    NASNET_A,
    params=88_753_150,
    macs=23_783_414_658,
    input_shape=(331, 331, 3),
    source="Zoph et al. 2017: NASNet-A (6 @ 4032)",
    accuracy=(slim(82.693, 96.163, 331),),
    preprocessing=photographs(363, 331),
    weights="timm/nasnetalarge.tf_in1k",
    aliases=("nasnetalarge",),
)
def nasnet_large(num_classes=1000, in_channels=3, aux_heads=False):
    aux_size = 21 if aux_heads else None
    return NASNet(96, 4032, 6, True, num_classes, in_channels, aux_size=aux_size)
