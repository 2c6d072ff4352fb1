"""ConvNeXt V2: global response normalisation instead of layer scale. Woo et al. 2023
(arXiv 2301.00808).

    y = x + linear(grn(gelu(linear(layernorm(depthwise 7x7(x))))))
    grn(x) = x + weight * x * n + bias      n[c] = |x[..., c]| / mean over c of |x[..., c]|

|.| is the Euclidean norm over H and W: channels that respond alike compete. The rest is ConvNeXt,
and so are the attribute names, although these networks are not torchvision's.
"""

from functools import partial

from fastconv import nn
from fastconv.models.convnext import EPS, ConvNeXt, timms_names
from fastconv.models.info import Accuracy, Architecture, Preprocessing
from fastconv.models.registry import register

CONVNEXT_V2 = Architecture(
    name="ConvNeXt V2",
    title="ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
    authors="Woo, Debnath, Hu, Chen, Liu, Kweon, Xie",
    year=2023,
    link="arXiv 2301.00808",
    introduced="global response normalisation, which keeps channels from collapsing when masked"
    " images are learnt",
    descends_from=("ConvNeXt",),
)


class GlobalResponseNorm(nn.Module):
    """x (N, H, W, C) + weight * x * n + bias, see above; the identity at first."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.init.zeros_(nn.Parameter.empty((channels,)))
        self.bias = nn.init.zeros_(nn.Parameter.empty((channels,)))

    def forward(self, x):
        # 1e-30: the root has a slope where a channel is 0 everywhere
        norm = ((x * x).sum(axis=(1, 2), keepdims=True) + 1e-30).sqrt()
        n = norm / (norm.mean(axis=3, keepdims=True) + self.eps)
        return x + (x * n * self.weight + self.bias)

    def extra_repr(self):
        return f"{self.weight.shape[0]}, eps={self.eps}"


class Block(nn.Module):
    """See the formula above; drop: probability of stochastic depth.

    convolutions: the two linear layers are 1x1 convolutions, the same with weights of four axes.
    """

    def __init__(self, channels, drop, convolutions=False):
        super().__init__()
        linear = partial(nn.Conv2d, kernel_size=1) if convolutions else nn.Linear
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            nn.LayerNorm(channels, EPS),
            linear(channels, 4 * channels),
            nn.GELU(),
            GlobalResponseNorm(4 * channels),
            linear(4 * channels, channels),
        )
        self.stochastic_depth = nn.DropPath(drop)

    def forward(self, x):
        return x + self.stochastic_depth(self.block(x))


class ConvNeXtV2(ConvNeXt):
    """ConvNeXt of these blocks."""

    key_map = tuple(
        timms_names({"conv_dw": 0, "norm": 1, "mlp.fc1": 2, "mlp.grn": 4, "mlp.fc2": 5})
    )


def published(name, *figures):
    """(top-1, top-5, size) of timm's table."""
    return tuple(
        Accuracy(
            top1, top5, f"ImageNet validation, one {size} x {size} crop", f"timm's table, {name}"
        )
        for top1, top5, size in figures
    )


@register(
    CONVNEXT_V2,
    params=3_708_400,
    macs=547_332_480,
    source="Woo et al. 2023; linear layers as timm's: 1x1 convolutions",
    accuracy=published(
        "convnextv2_atto.fcmae_ft_in1k", (76.644, 93.042, 224), (77.794, 93.728, 288)
    ),
    preprocessing=Preprocessing(256, 224, "bicubic"),
    weights="timm/convnextv2_atto.fcmae_ft_in1k",
)
def convnextv2_atto(num_classes=1000, in_channels=3):
    block = partial(Block, convolutions=True)
    return ConvNeXtV2(block, (40, 80, 160, 320), (2, 2, 6, 2), num_classes, in_channels)


@register(
    CONVNEXT_V2,
    params=28_635_496,
    macs=4_455_531_264,
    source="Woo et al. 2023",
    accuracy=published(
        "convnextv2_tiny.fcmae_ft_in22k_in1k", (83.904, 96.964, 224), (84.428, 97.26, 288)
    ),
    preprocessing=Preprocessing(256, 224, "bicubic"),
    weights="timm/convnextv2_tiny.fcmae_ft_in22k_in1k",
)
def convnextv2_tiny(num_classes=1000, in_channels=3):
    return ConvNeXtV2(Block, (96, 192, 384, 768), (3, 3, 9, 3), num_classes, in_channels)
