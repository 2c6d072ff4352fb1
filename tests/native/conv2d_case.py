"""One convolution problem: its operands, a backend's result, and the result in float64."""

import numpy as np

from fastconv.backend import reference
from fastconv.backend.problem import Conv2dProblem

DIRECTIONS = ("fwd", "dgrad", "wgrad")
DTYPES = (np.float32, np.float64)
SAME = (1, 1, 1, 1)  # padding of a 3x3 window


def problem(n, hw, c, k, rs, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    p, q = (
        (hw[i] + pad[2 * i] + pad[2 * i + 1] - dilation[i] * (rs[i] - 1) - 1) // stride[i] + 1
        for i in (0, 1)
    )
    return Conv2dProblem(n, *hw, c, k, *rs, p, q, stride, pad, dilation, groups)


def shapes(p, direction):
    """Of the two operands and of the result."""
    x, w, y = p.x_shape, p.w_shape, p.y_shape
    return {"fwd": (x, w, y), "dgrad": (y, w, x), "wgrad": (x, y, w)}[direction]


def sum_length(p, direction):
    window = p.r * p.s
    return {
        "fwd": window * p.c // p.groups,
        "dgrad": window * p.k // p.groups,
        "wgrad": p.n * p.p * p.q,
    }[direction]


def draw(shape, dtype, rng, integers):
    values = rng.integers(-3, 4, shape) if integers else rng.standard_normal(shape)
    return values.astype(np.float32).astype(dtype)


def operands(p, direction, dtype, integers):
    rng = np.random.default_rng(7)
    x, w, gy = (draw(s, dtype, rng, integers) for s in (p.x_shape, p.w_shape, p.y_shape))
    return {"fwd": (x, w), "dgrad": (gy, w), "wgrad": (x, gy)}[direction]


def run(K, p, direction, algorithm, a, b, **options):
    """The result; poisoned before, so that an element left out is seen."""
    out = np.full(shapes(p, direction)[2], np.nan, a.dtype)
    size = K.conv2d_workspace(p, direction, algorithm, a.dtype)
    workspace = np.full(size, 255, np.uint8) if size else None
    getattr(K, f"conv2d_{direction}")(a, b, out, p, algorithm, workspace, **options)
    return out


def truth(p, direction, a, b, **options):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return run(reference, p, direction, "reference", a, b, **options)
