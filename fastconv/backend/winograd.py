"""Winograd's F(4x4, 3x3), on every device: which problems it fits, how large and how exact it is.

Lavin, Gray 2015, "Fast Algorithms for Convolutional Neural Networks": 36 multiplications for 4x4
outputs of a 3x3 window instead of 144 (csrc/winograd_points.h).
"""

from math import ceil

import numpy as np

__all__ = ["FREQUENCIES", "winograd_fits", "winograd_refused", "winograd_sizes"]

FREQUENCIES = 36
DEPTH = 2048  # channels


def winograd_fits(p):
    """3x3, stride 1, no dilation, no groups."""
    return (p.r, p.s, p.groups, p.stride, p.dilation) == (3, 3, 1, (1, 1), (1, 1))


def winograd_sizes(p, direction):
    """(tiles of 4x4 outputs, input channels, output channels); dgrad: gy is its input."""
    h, w, depth, columns = (p.h, p.w, p.k, p.c) if direction == "dgrad" else (p.p, p.q, p.c, p.k)
    return p.n * ceil(h / 4) * ceil(w / 4), depth, columns


def winograd_refused(p, direction, dtype, precision):
    """Why it may not be chosen, or "". The precision "default" promises errors under 1e-4 x rms(y):
    against float64 the largest of 14x14 pixels was 6e-6, 1.6e-5 and 2.4e-5 for 64, 256 and 512
    channels (inputs of mean 0; about half with mean 10), which grows a little faster than their
    root."""
    if precision == "ieee":
        return "it rounds more than float32 arithmetic does, and the precision is 'ieee'"
    if np.dtype(dtype) != np.float32:
        return f"it rounds more than {np.dtype(dtype)} arithmetic does"
    if winograd_sizes(p, direction)[1] > DEPTH:
        return f"its error is stated for up to {DEPTH} channels"
    return ""
