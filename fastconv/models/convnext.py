"""ConvNeXt: a ResNet modernised step by step. Liu et al. 2022 (arXiv 2201.03545).

    y = x + scale * linear(gelu(linear(layernorm(depthwise 7x7(x)))))

The linear layers act on channels, to 4 C and back; scale is one trained number per channel (layer
scale), 1e-6 at first. Between stages layer norm and a 2x2 convolution with stride 2 halve H and W.
Images (N, H, W, C): layer norm and linear layers read the maps as they lie. Attribute names are
torchvision's.
"""

import re

from fastconv import nn
from fastconv.models.head import classifier
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register
from fastconv.nn.state_dict import ForeignView

CONVNEXT = Architecture(
    name="ConvNeXt",
    title="A ConvNet for the 2020s",
    authors="Liu, Mao, Wu, Feichtenhofer, Darrell, Xie",
    year=2022,
    link="arXiv 2201.03545",
    introduced="the transformers' training and proportions in a convolutional network: 7x7"
    " depthwise windows, layer norm, fewer activations",
    descends_from=("ResNet", "ResNeXt", "MobileNet v2"),
)

EPS = 1e-6  # of every layer norm


class Block(nn.Module):
    """See the formula above; drop: probability of stochastic depth."""

    def __init__(self, channels, drop):
        super().__init__()
        self.layer_scale = nn.init.constant_(nn.Parameter.empty((channels,)), 1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            nn.Identity(),  # where torchvision permutes to channels last
            nn.LayerNorm(channels, EPS),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.stochastic_depth = nn.DropPath(drop)

    def forward(self, x):
        return x + self.stochastic_depth(self.block(x) * self.layer_scale)

    def torch_view(self, name):
        """torchvision's layer_scale is (C, 1, 1)."""
        if name != "layer_scale":
            return None
        (c,) = self.layer_scale.shape
        return ForeignView((c,), (0,), (c, 1, 1))


def timms_names(parts):
    """(pattern, replacement) from timm's names to ours; parts: {its name of a layer in a block: our
    number}."""
    yield r"^stem\.", "features.0."
    yield r"^head\.norm\.", "classifier.0."
    yield r"^head\.fc\.", "classifier.2."
    for i in range(4):
        yield rf"^stages\.{i}\.downsample\.", f"features.{2 * i}."
        block, ours = rf"^stages\.{i}\.blocks\.(\d+)", rf"features.{2 * i + 1}.\1"
        yield rf"{block}\.gamma$", f"{ours}.layer_scale"
        for name, number in parts.items():
            yield rf"{block}\.{re.escape(name)}\.", f"{ours}.block.{number}."


class ConvNeXt(nn.Module):
    """4x4 patches, four stages of blocks, global average, layer norm, one linear layer.

    block: Block, or ConvNeXt V2's. channels and depths per stage. stochastic_depth: the rate of
    the last block; it grows linearly from 0.
    """

    key_map = tuple(timms_names({"conv_dw": 0, "norm": 2, "mlp.fc1": 3, "mlp.fc2": 5}))

    def __init__(
        self, block, channels, depths, num_classes=1000, in_channels=3, stochastic_depth=0.0
    ):
        super().__init__()
        parts = [
            nn.Sequential(nn.Conv2d(in_channels, channels[0], 4, 4), nn.LayerNorm(channels[0], EPS))
        ]
        count, last = 0, sum(depths) - 1
        for i, depth in enumerate(depths):
            if i > 0:
                before, now = channels[i - 1 : i + 1]
                parts.append(nn.Sequential(nn.LayerNorm(before, EPS), nn.Conv2d(before, now, 2, 2)))
            blocks = []
            for _ in range(depth):
                blocks.append(block(channels[i], stochastic_depth * count / max(last, 1)))
                count += 1
            parts.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*parts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.LayerNorm(channels[-1], EPS),
            nn.Flatten(),
            classifier(channels[-1], num_classes),
        )
        for module in self.modules():  # as the authors' code
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_features(self, x):
        """The maps of the last stage, (N, 7, 7, C) for 224 x 224."""
        return self.features(x)

    def forward(self, x):
        return self.classifier(self.avgpool(self.forward_features(x)))


# Liu et al. 2022, section 3; stochastic depth: table 5
#            channels                 blocks         stochastic depth
SIZES = {
    "tiny":  ((96, 192, 384, 768),   (3, 3, 9, 3),  0.1),
    "small": ((96, 192, 384, 768),   (3, 3, 27, 3), 0.4),
    "base":  ((128, 256, 512, 1024), (3, 3, 27, 3), 0.5),
    "large": ((192, 384, 768, 1536), (3, 3, 27, 3), 0.5),
}  # fmt: skip


def convnext(size, num_classes, in_channels):
    """A network of the paper."""
    channels, depths, drop = SIZES[size]
    return ConvNeXt(Block, channels, depths, num_classes, in_channels, drop)


def published(paper, top1, top5):
    """What the paper's authors and torchvision's weights reach."""
    crop = "ImageNet validation, one 224 x 224 crop"
    return (
        Accuracy(paper, None, crop, "README of facebookresearch/ConvNeXt"),
        Accuracy(top1, top5, crop, "torchvision's weights IMAGENET1K_V1"),
    )


# no `weights`: timm has the authors', resized to 256 and bicubic; key_map fits them
_SOURCE = "Liu et al. 2022, section 3"


@register(
    CONVNEXT,
    params=28_589_128,
    macs=4_455_531_264,
    source=_SOURCE,
    accuracy=published(82.1, 82.52, 96.146),
    preprocessing=Preprocessing(236, 224),
)
def convnext_tiny(num_classes=1000, in_channels=3):
    return convnext("tiny", num_classes, in_channels)


@register(
    CONVNEXT,
    params=50_223_688,
    macs=8_683_712_256,
    source=_SOURCE,
    accuracy=published(83.1, 83.616, 96.65),
    preprocessing=Preprocessing(230, 224),
)
def convnext_small(num_classes=1000, in_channels=3):
    return convnext("small", num_classes, in_channels)


@register(
    CONVNEXT,
    params=88_591_464,
    macs=15_354_729_472,
    source=_SOURCE,
    accuracy=published(83.8, 84.062, 96.87),
    preprocessing=Preprocessing(232, 224),
)
def convnext_base(num_classes=1000, in_channels=3):
    return convnext("base", num_classes, in_channels)


@register(
    CONVNEXT,
    params=197_767_336,
    macs=34_361_433_600,
    source=_SOURCE,
    accuracy=published(84.3, 84.414, 96.976),
    preprocessing=Preprocessing(232, 224),
)
def convnext_large(num_classes=1000, in_channels=3):
    return convnext("large", num_classes, in_channels)
