"""What a residual block adds to F(x): x itself, or x brought to the shape of F(x).

    option   where the shape changes          elsewhere
    A        every stride-th pixel, zeros     x
             for the channels that are new
    B        1x1 convolution, batch norm      x
    C        1x1 convolution, batch norm      1x1 convolution, batch norm
    D        mean of 2x2, then B at stride 1  x
    None     no shortcut: the plain network

A, B, C: He et al. 2015, section 4.1; D: ResNet-D (resnet_d.py).
"""

from fastconv import functional as F
from fastconv import nn
from fastconv.errors import ArgumentError


def projection(in_channels, out_channels, stride, shortcut="B"):
    """The layers of options B, C, D, ending in 1x1 convolution and batch norm; else None."""
    if shortcut not in (None, "A", "B", "C", "D"):
        raise ArgumentError(f"shortcut must be 'A', 'B', 'C', 'D' or None, got {shortcut!r}")
    same = stride == 1 and in_channels == out_channels
    if shortcut in (None, "A") or (same and shortcut != "C"):
        return None
    layers = [
        nn.Conv2d(in_channels, out_channels, 1, 1 if shortcut == "D" else stride, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if shortcut == "D":
        # odd sides: the window at the border averages the pixels that there are
        pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        layers.insert(0, nn.Identity() if stride == 1 else pool)
    return nn.Sequential(*layers)


def shortcut_of(block, x):
    """What is added to F(x) of a BasicBlock or Bottleneck; None in a plain network."""
    if block.shortcut is None:
        return None
    if block.downsample is not None:
        *pool, conv, bn = block.downsample
        for layer in pool:
            x = layer(x)
        return nn.conv_bn_act(x, conv, bn)
    if block.shortcut == "A":
        return padded_identity(x, block.conv1.stride, block.conv2.out_channels)
    return x


def padded_identity(x, stride, channels):
    """Option A: x[:, ::stride, ::stride], then zeros up to `channels`. No parameters."""
    n, _, _, c = x.shape
    if stride == 1 and c == channels:
        return x
    x = x[:, ::stride, ::stride]
    _, h, w, _ = x.shape
    # F.pad pads H and W: let the channels be W
    rows = F.pad(x.reshape(n, h * w, c, 1), (0, 0, 0, channels - c))
    return rows.reshape(n, h, w, channels)
