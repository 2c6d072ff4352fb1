"""The spatial and matrix-product cases of the list, and 4,771 convolution problems kept as data.

tests/data/conv_problems.csv: shapes that broke kernels elsewhere (half of them from oneDNN's
benchdnn inputs), facts only. `make test` infers the shapes of all and computes a seeded sample;
`make full` computes all that the reference can hold in memory (19 of 20).
"""

import csv
import random
from functools import cache
from pathlib import Path

import numpy as np

from tests.case import Case, Input

__all__ = ["CONV_CASES", "conv_problem_cases", "conv_problems", "direct_conv2d"]

PROBLEMS = Path(__file__).parent / "data" / "conv_problems.csv"
SAMPLE = 48
SAMPLE_MACS = 300_000  # of one problem in the sample: the reference takes milliseconds
SEED = 20
FULL_MACS = 100_000_000
ONE_MACS = 1_000_000_000
FULL_COLUMNS = 20_000_000  # elements of the reference's im2col


def direct_conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """The formula of fastconv/ops/conv2d.py as it stands, one window position at a time."""
    (sh, sw), (dh, dw) = np.broadcast_to(stride, 2), np.broadcast_to(dilation, 2)
    sides = np.ravel(padding)
    top, bottom, left, right = np.repeat(sides, {1: 4, 2: 2, 4: 1}[sides.size])
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    (n, h, wd, _), (k, r, s, cg) = x.shape, w.shape
    p, q = (h - dh * (r - 1) - 1) // sh + 1, (wd - dw * (s - 1) - 1) // sw + 1
    y = np.zeros((n, p, q, k), x.dtype)
    for g in range(groups):
        mine, theirs = slice(g * k // groups, (g + 1) * k // groups), slice(g * cg, (g + 1) * cg)
        for i in range(r):
            for j in range(s):
                rows, columns = (
                    slice(i * dh, i * dh + p * sh, sh),
                    slice(j * dw, j * dw + q * sw, sw),
                )
                y[..., mine] += x[:, rows, columns, theirs][:, :p, :q] @ w[mine, i, j].T
    return y if b is None else y + b


def conv(x, w, bias=False, label="", **arguments):
    """A convolution of shapes x (N, H, W, C) and w (K, R, S, C/groups)."""
    inputs = (Input(x), Input(w), *([Input((w[0],))] if bias else []))
    same = arguments.get("padding") == "same"
    return Case(
        "conv2d",
        inputs,
        arguments,
        label,
        length=w[1] * w[2] * w[3] + bias,
        magnitude="products",
        linear=() if bias else (0, 1),
        expect=None if same else direct_conv2d,
    )


CONVOLUTIONS = [
    conv((1, 1, 1, 1), (1, 1, 1, 1), label="one number"),
    conv((2, 5, 7, 3), (4, 1, 1, 3), label="1x1", bias=True),
    conv((2, 6, 6, 8), (4, 1, 1, 8), label="1x1", stride=2),
    conv((2, 7, 5, 3), (4, 3, 3, 3), label="3x3", bias=True, padding=1),
    conv((1, 13, 11, 7), (17, 3, 3, 7), label="primes", padding=1),
    conv((3, 9, 8, 16), (33, 3, 3, 16), label="odd filters", stride=2, padding=1),
    conv((1, 15, 14, 3), (8, 7, 7, 3), label="stem", stride=2, padding=3),
    conv((1, 23, 23, 3), (6, 11, 11, 3), label="stem of AlexNet", stride=4, padding=2),
    conv((1, 9, 9, 4), (5, 3, 3, 4), label="dilated", dilation=2, padding=2),
    conv((1, 11, 9, 2), (3, 3, 2, 2), label="dilated", dilation=(3, 2), stride=(2, 1)),
    conv((2, 5, 5, 8), (12, 3, 3, 2), label="groups", groups=4, padding=1),
    conv((2, 5, 5, 6), (9, 3, 3, 2), label="groups", groups=3, bias=True, stride=2),
    conv((2, 7, 7, 9), (9, 3, 3, 1), label="depthwise", groups=9, padding=1, bias=True),
    conv((1, 8, 8, 16), (16, 5, 5, 1), label="depthwise", groups=16, stride=2, padding=2),
    conv((1, 6, 6, 4), (8, 3, 3, 1), label="depthwise, multiplier 2", groups=4, padding=1),
    conv((1, 5, 6, 3), (4, 3, 3, 3), label="asymmetric", padding=(0, 1, 2, 0)),
    conv((1, 5, 6, 3), (4, 2, 3, 3), label="asymmetric", padding=(2, 1)),
    conv((2, 7, 8, 3), (4, 3, 3, 3), label="same", padding="same", stride=2),
    conv((1, 6, 6, 2), (3, 4, 2, 2), label="same", padding="same"),
    conv((1, 8, 7, 2), (3, 3, 3, 2), label="same", padding="same", dilation=2),
    conv((2, 4, 3, 5), (6, 4, 3, 5), label="window = input"),
    conv((1, 4, 4, 2), (3, 1, 1, 2), label="stride beyond window", stride=3),
    conv((2, 1, 9, 4), (3, 1, 5, 4), label="one row", padding=(0, 2)),
    conv((1, 3, 3, 2), (2, 3, 3, 2), label="padding beyond input", padding=4),
    conv((0, 5, 5, 3), (4, 3, 3, 3), label="empty batch", bias=True, padding=1),
]


def pool(function, x, length, label="", **arguments):
    averaging = function != "max_pool2d" and function != "adaptive_max_pool2d"
    return Case(
        function,
        (Input(x, "distinct"),),
        arguments,
        label,
        length=length,
        magnitude="products" if averaging else "output",
        exact=not averaging,
        linear=(0,) if averaging else (),
    )


POOLS = [
    *[
        pool(f, shape, k * k, kernel_size=k, stride=s, padding=p, ceil_mode=ceil)
        for f in ("max_pool2d", "avg_pool2d")
        for shape, k, s, p, ceil in (
            ((2, 6, 6, 3), 2, 2, 0, False),
            ((1, 7, 9, 5), 3, 2, 1, False),
            ((1, 6, 8, 2), 3, 2, 0, True),
            ((1, 5, 5, 1), 2, 3, 1, True),
            ((0, 4, 4, 3), 2, None, 0, False),
        )
    ],
    pool("avg_pool2d", (1, 7, 9, 5), 9, kernel_size=3, padding=1, count_include_pad=False),
    pool("max_pool2d", (1, 9, 9, 2), 9, kernel_size=3, stride=1, dilation=2),
    *[
        pool(f, (2, 7, 5, 3), 35, output_size=size)
        for f in ("adaptive_avg_pool2d", "adaptive_max_pool2d")
        for size in (1, (3, 2), (7, 5))
    ],
    pool("global_avg_pool2d", (2, 4, 3, 5), 12),
]


def product(function, a, b, length, *more, **arguments):
    return Case(
        function,
        (Input(a), Input(b), *map(Input, more)),
        arguments,
        length=length,
        magnitude="products",
        linear=() if more else (0, 1),
        expect=np.matmul if function == "matmul" else None,
    )


PRODUCTS = [
    product("matmul", (3, 5), (5, 7), 5),
    product("matmul", (1, 17), (17, 1), 17),
    product("matmul", (0, 3), (3, 2), 3),
    product("matmul", (2, 3, 5), (2, 5, 4), 5),
    product("matmul", (2, 3, 5), (5, 4), 10),
    product("linear", (4, 13), (6, 13), 13),
    product("linear", (4, 13), (6, 13), 14, (6,)),
    product("linear", (0, 13), (6, 13), 14, (6,)),
    product("linear", (2, 3, 13), (6, 13), 14, (6,)),
]

CONV_CASES = [*CONVOLUTIONS, *POOLS, *PRODUCTS]


@cache
def _rows():
    with PROBLEMS.open(newline="") as file:
        return [
            {k: v if k == "source" else int(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def _macs(row):
    k, depth = row["k"], row["r"] * row["s"] * row["c"] // row["groups"]
    return row["n"] * row["p"] * row["q"] * k * depth


def _columns(row):
    return row["n"] * row["p"] * row["q"] * row["r"] * row["s"] * row["c"]


def _chosen(which, sample=SAMPLE):
    """Rows of the file: "all", "full" (what fits) or "sample" (a few cheap ones)."""
    rows = _rows()
    if which == "full":
        return [r for r in rows if _macs(r) <= FULL_MACS and _columns(r) <= FULL_COLUMNS]
    if which == "sample":
        cheap = [row for row in rows if _macs(row) <= SAMPLE_MACS]
        return random.Random(SEED).sample(cheap, sample)
    return rows


def _ones():
    """Rows that are too large as they are, with a batch of 1."""
    fits = _chosen("full")
    large = [{**row, "n": 1} for row in _rows() if row not in fits]
    return [r for r in large if _macs(r) <= ONE_MACS and _columns(r) <= FULL_COLUMNS]


def conv_problems(which, sample=SAMPLE):
    """Arguments of Conv2dProblem for the rows that _chosen names. "full": also those that fit with
    a batch of 1 and ONE_MACS (98 of 100 rows in all)."""
    sides, axes = ("top", "bottom", "left", "right"), ("h", "w")
    return [
        {
            **{name: row[name] for name in ("n", "h", "w", "c", "k", "r", "s", "p", "q", "groups")},
            "stride": tuple(row[f"stride_{axis}"] for axis in axes),
            "dilation": tuple(row[f"dilation_{axis}"] for axis in axes),
            "pad": tuple(row[f"pad_{side}"] for side in sides),
        }
        for row in [*_chosen(which, sample), *(_ones() if which == "full" else [])]
    ]


def conv_problem_cases(which):
    """[(Case, (P, Q))] of the rows that _chosen(which) names."""
    cases = []
    for i, row in enumerate(_chosen(which)):
        case = conv(
            (row["n"], row["h"], row["w"], row["c"]),
            (row["k"], row["r"], row["s"], row["c"] // row["groups"]),
            label=f"{row['source']} {i}",
            stride=(row["stride_h"], row["stride_w"]),
            padding=tuple(row[f"pad_{side}"] for side in ("top", "bottom", "left", "right")),
            dilation=(row["dilation_h"], row["dilation_w"]),
            groups=row["groups"],
        )
        cases.append((case, (row["p"], row["q"])))
    return cases
