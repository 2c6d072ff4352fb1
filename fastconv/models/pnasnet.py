"""PNASNet-5: a cell found progressively. Liu et al. 2017 (arXiv 1712.00559).

One kind of cell, with stride 1 or 2, of the two maps before it (p and h, see nasnet.py):

    b0 = sep5(p) + max(p)     b1 = sep7(h) + max(h)     b2 = sep5(h) + sep3(h)
    b3 = sep3(b2) + max(h)    b4 = sep3(p) + h          gives b0 | b1 | b2 | b3 | b4

With stride 2 all that reads p or h strides, and the h of b4 goes through a 1x1 convolution.
Attribute names are timm's pnasnet5large's.
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.models.blocks import Named
from fastconv.models.info import Architecture
from fastconv.models.registry import register
from fastconv.models.searched import (
    ConvNorm,
    FactorizedReduction,
    SearchedNet,
    Separable,
    batch_norm,
    photographs,
    slim,
)

PNASNET = Architecture(
    name="PNASNet",
    title="Progressive Neural Architecture Search",
    authors="Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang, Murphy",
    year=2017,
    link="arXiv 1712.00559",
    introduced="a search from simple cells to complex ones, led by a model that predicts accuracy",
    descends_from=("NASNet-A",),
)


class Cell(nn.Module):
    """See above. adjust: what brings the map before to `width` channels; None: the first cell reads
    it as it is."""

    def __init__(self, prev_channels, in_channels, width, stride, adjust):
        super().__init__()
        self.strides = stride > 1
        self.conv_prev_1x1 = adjust(prev_channels, width) if adjust else nn.Identity()
        p = width if adjust else prev_channels
        self.conv_1x1 = ConvNorm(in_channels, width)
        self.comb_iter_0_left = Separable(p, width, 5, stride)
        self.comb_iter_0_right = maximum(stride)
        if not adjust:  # the sum needs `width` channels
            self.comb_iter_0_right = Named(
                [
                    ("max_pool", maximum(stride)),
                    ("conv", nn.Conv2d(p, width, 1, bias=False)),
                    ("bn", batch_norm(width)),
                ]
            )
        self.comb_iter_1_left = Separable(width, width, 7, stride)
        self.comb_iter_1_right = maximum(stride)
        self.comb_iter_2_left = Separable(width, width, 5, stride)
        self.comb_iter_2_right = Separable(width, width, 3, stride)
        self.comb_iter_3_left = Separable(width, width, 3)
        self.comb_iter_3_right = maximum(stride)
        self.comb_iter_4_left = Separable(p, width, 3, stride)
        self.comb_iter_4_right = (
            nn.Identity() if stride == 1 else ConvNorm(width, width, stride=stride)
        )

    def forward(self, x, prev):
        p, h = self.conv_prev_1x1(prev), self.conv_1x1(x)
        rp, rh = F.relu(p), F.relu(h)
        b0 = self.comb_iter_0_left(rp, self.comb_iter_0_right(p))
        b1 = self.comb_iter_1_left(rh, self.comb_iter_1_right(h))
        b2 = self.comb_iter_2_left(rh, self.comb_iter_2_right(rh))
        b3 = self.comb_iter_3_left(F.relu(b2), self.comb_iter_3_right(h))
        b4 = self.comb_iter_4_left(rp, self.comb_iter_4_right(h))
        return F.concat([b0, b1, b2, b3, b4], axis=3)


def maximum(stride):
    """3x3."""
    return nn.MaxPool2d(3, stride, "same" if stride > 1 else 1)


class PNASNet(SearchedNet):
    """3x3 stem, two cells with stride 2, then three times `repeats` cells; the first of the second
    and of the third time strides.

    stem: channels of the 3x3; width: of the first cell; each stride doubles it. aux_size: as
    NASNet's.
    """

    def __init__(
        self, stem, width, repeats, num_classes=1000, in_channels=3, dropout=0.0, aux_size=None
    ):
        super().__init__()
        self.conv_0 = ConvNorm(in_channels, stem, 3, 2, rectify=False)
        self.cell_stem_0 = Cell(stem, stem, width, 2, None)
        self.cell_stem_1 = Cell(stem, 5 * width, 2 * width, 2, FactorizedReduction)
        self.cells = ["cell_stem_0", "cell_stem_1"]
        prev, now, width = 5 * width, 10 * width, 4 * width
        strided = True
        for i in range(3):
            for j in range(repeats):
                stride = 2 if i > 0 and j == 0 else 1
                name = f"cell_{len(self.cells) - 2}"
                # behind a cell that has strided the map before is twice as large
                adjust = FactorizedReduction if strided else ConvNorm
                strided = stride == 2
                setattr(self, name, Cell(prev, now, width, stride, adjust))
                self.cells.append(name)
                prev, now = now, 5 * width
            width *= 2
        self.classify(now, num_classes, dropout, aux_size)

    def cells_of(self, x):
        """(the last map, the one before the last cell that strides)."""
        prev = x = self.conv_0(x)
        middle = None
        for name in self.cells:
            cell = getattr(self, name)
            if cell.strides:
                middle = x
            prev, x = x, cell(x, prev)
        return x, middle


@register(
    PNASNET,
    params=86_057_668,
    macs=24_937_395_792,
    input_shape=(331, 331, 3),
    source="Liu et al. 2017: PNASNet-5 (N = 4, F = 216)",
    accuracy=(slim(82.858, 96.182, 331),),
    preprocessing=photographs(363, 331),
    weights="timm/pnasnet5large.tf_in1k",
    aliases=("pnasnet5large",),
)
def pnasnet5_large(num_classes=1000, in_channels=3, aux_heads=False):
    return PNASNet(96, 54, 4, num_classes, in_channels, aux_size=21 if aux_heads else None)
