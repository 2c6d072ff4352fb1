"""Cases of the spatial ops beyond those of tests/conv_cases.py.

Gradients as functions; transposed, 1-D and partial convolution; products that broadcast; norms;
conv_bn_act; LeNet-5's layers; scaling and resizing.
"""

from math import prod

from fastconv import functional as F
from tests.case import Case, Input
from tests.spatial_formulas import (
    direct_batch_norm,
    direct_layer_norm,
    direct_response_norm,
    direct_subsampling,
)

__all__ = ["SPATIAL_CASES"]


TABLE = ((0, 2), (3, 1), (1,), (0, 1, 2, 3))


def fixed(*shape, kind="normal"):
    return Input(shape, kind, fixed=True)


def products(function, shapes, length, label="", linear=(0, 1), **arguments):
    """A bilinear function; a third input is a bias."""
    return Case(
        function,
        tuple(map(Input, shapes)),
        arguments,
        label,
        length=length,
        magnitude="products",
        linear=() if len(shapes) > 2 else linear,
    )


def input_grad(x, w, y, label="", **arguments):
    return products("conv2d_input_grad", (y, w), prod(w[:3]), label, x_shape=x, **arguments)


def weight_grad(x, w, y, label="", **arguments):
    return products("conv2d_weight_grad", (x, y), prod(y[:3]), label, w_shape=w, **arguments)


# x, w, y, arguments
GEOMETRIES = (
    ((2, 5, 6, 3), (4, 3, 3, 3), (2, 5, 6, 4), {"padding": 1}),
    ((1, 9, 8, 4), (6, 3, 2, 2), (1, 4, 4, 6), {"stride": 2, "padding": (0, 0), "groups": 2}),
    ((1, 7, 7, 5), (5, 3, 3, 1), (1, 4, 4, 5), {"stride": 2, "padding": 1, "groups": 5}),
    ((1, 6, 6, 2), (3, 2, 2, 2), (1, 3, 3, 3), {"stride": 2, "padding": "same"}),
    ((1, 8, 9, 2), (3, 3, 3, 2), (1, 4, 5, 3), {"dilation": 2}),
    ((2, 4, 4, 3), (5, 1, 1, 3), (2, 4, 4, 5), {}),
    ((0, 5, 6, 3), (4, 3, 3, 3), (0, 5, 6, 4), {"padding": 1}),
)
GRADIENTS = [f(*g[:3], **g[3]) for f in (input_grad, weight_grad) for g in GEOMETRIES]


def transpose(x, w, bias=0, label="", **arguments):
    case = products(
        "conv_transpose2d",
        (x, w, *([(bias,)] if bias else [])),
        prod(w[:3]) + 1,
        label,
        **arguments,
    )
    # a bias is added after the rounding to a half type
    return Case(**{**case.__dict__, "halves": not bias})


TRANSPOSED = [
    transpose((2, 4, 5, 3), (3, 3, 3, 4), 4),
    transpose((1, 4, 3, 4), (4, 3, 3, 2), stride=2, padding=1, output_padding=1, groups=2),
    transpose((1, 3, 4, 4), (4, 2, 4, 3), 3, stride=(2, 3), output_padding=(0, 2)),
    transpose((1, 5, 5, 4), (4, 3, 3, 1), 4, padding=(1, 0, 2, 1), groups=4),
    transpose((1, 3, 3, 2), (2, 3, 3, 3), dilation=2, padding=1),
    transpose((2, 3, 3, 4), (4, 1, 1, 5)),
    transpose((0, 3, 3, 2), (2, 3, 3, 3), 3),
]

ONE_D = [
    products("conv1d", ((2, 9, 3), (4, 3, 3)), 9),
    products("conv1d", ((2, 9, 3), (4, 3, 3), (4,)), 10, padding=1, stride=2),
    products("conv1d", ((1, 11, 4), (6, 5, 2)), 10, padding="same", groups=2, dilation=2),
    products("conv1d", ((1, 7, 2), (3, 4, 2)), 8, padding=(3, 0)),
    products("conv1d", ((0, 9, 3), (4, 3, 3), (4,)), 10),
]

# a gradient that is summed over matrices is rounded once per matrix in half types
BROADCAST_PRODUCTS = [
    Case(
        "matmul", (Input(a), Input(b)), length=20, magnitude="products", linear=(0, 1), halves=half
    )
    for a, b, half in (
        ((5,), (5, 7), True),
        ((3, 5), (5,), True),
        ((5,), (5,), True),
        ((2, 3, 5), (5,), True),
        ((3, 5), (4, 5, 2), False),
        ((2, 1, 3, 5), (4, 5, 2), False),
        ((1, 3, 5), (4, 5, 2), False),
        ((2, 3, 0), (2, 0, 4), True),
        ((0, 3, 5), (5, 4), True),
        ((1, 3, 5), (0, 5, 4), True),
    )
]

PARTIAL = [
    Case(
        "partial_conv2d",
        (Input((2, 5, 6, 4)), Input((9, 3, 3)), *([Input((4,))] if bias else [])),
        label=label,
        call=lambda x, w, b=None, a=arguments: F.partial_conv2d(x, w, b, TABLE, **a),
        length=37,
        magnitude="products",
        linear=() if bias else (0, 1),
    )
    for label, bias, arguments in (
        ("plain", False, {}),
        ("bias, stride, padding", True, {"stride": 2, "padding": 1}),
    )
]

LENET = [
    *PARTIAL,
    Case(
        "trainable_subsampling",
        (Input((2, 6, 5, 3)), Input((3,)), Input((3,))),
        length=5,
        magnitude="products",
        halves=False,
        expect=direct_subsampling,
    ),
    Case(
        "trainable_subsampling",
        (Input((2, 6, 5, 3)), Input((3,)), Input((3,))),
        {"kernel_size": (3, 2)},
        length=7,
        magnitude="products",
        exact=False,  # the window's mean is a sixth
        halves=False,
        expect=direct_subsampling,
    ),
    Case(
        "rbf",
        (Input((4, 7)), Input((3, 7))),
        length=7,
        c=8,
        halves=False,
        expect=lambda x, w: ((x[:, None] - w) ** 2).sum(2),
    ),
    Case("rbf", (Input((0, 7)), Input((3, 7))), length=7, halves=False),
]


def batch_norm(shape, training, *, affine=True, rows=None, **arguments):
    c = shape[-1]
    arguments = {"training": training, **arguments}
    return Case(
        "batch_norm",
        (
            Input(shape),
            *([Input((c,), "positive"), Input((c,))] if affine else []),
            fixed(c),
            fixed(c, kind="positive"),
        ),
        {} if not affine else arguments,
        "" if affine else f"no gamma, no beta, {arguments}",
        call=None if affine else lambda x, m, v: F.batch_norm(x, None, None, m, v, **arguments),
        length=max(prod(shape[:-1]), 1),
        c=16,
        magnitude="range",
        exact=False,
        mutates=((3, 4) if affine else (1, 2)) if training else (),
        halves=False,  # their parameters are float32
        expect=direct_batch_norm if affine and prod(shape) and "act" not in arguments else None,
    )


def conv_bn_act(act, training, *, residual=True, bias=True, frozen=False, **arguments):
    """frozen: neither w nor the norm's parameters need a gradient, so eval runs folded."""
    make = fixed if frozen else lambda *s, kind="normal": Input(s, kind)
    inputs = {
        "x": Input((2, 4, 5, 3)),
        "w": make(4, 3, 3, 3),
        "b": make(4) if bias else None,
        "gamma": make(4, kind="positive"),
        "beta": make(4),
        "running_mean": fixed(4),
        "running_var": fixed(4, kind="positive"),
        "residual": Input((2, 4, 5, 4)) if residual else None,
    }
    given = [name for name, i in inputs.items() if i is not None]
    arguments = {"act": act, "training": training, "padding": 1, **arguments}

    def call(*values):
        named = dict.fromkeys(inputs) | dict(zip(given, values, strict=True))
        return F.conv_bn_act(**named, **arguments)

    return Case(
        "conv_bn_act",
        tuple(inputs[name] for name in given),
        label=f"{arguments}, bias={bias}, residual={residual}, frozen={frozen}",
        call=call,
        length=40,
        c=32,
        magnitude="range",
        exact=False,
        mutates=tuple(given.index(n) for n in ("running_mean", "running_var")) if training else (),
        halves=False,
    )


NORMS = [
    *[batch_norm((2, 3, 4, 5), training) for training in (False, True)],
    *[batch_norm((7, 3), training, affine=False) for training in (False, True)],
    batch_norm((1, 2), True),
    batch_norm((0, 3, 3, 2), True),
    batch_norm((0, 3, 3, 2), False),
    *[batch_norm((2, 3, 4, 5), t, act=act) for act in ("relu", "silu", "tanh") for t in (0, 1)],
    batch_norm((7, 3), True, affine=False, act="relu6"),
    *[conv_bn_act(act, t) for act in (None, "relu", "silu") for t in (False, True)],
    *[conv_bn_act(act, False, frozen=True) for act in (None, "relu6", "gelu")],
    *[conv_bn_act(act, True, residual=False, bias=False) for act in (None, "relu", "sigmoid")],
    conv_bn_act("relu", False, residual=False),
    conv_bn_act("hardswish", False, residual=False, bias=False, frozen=True),
    conv_bn_act("tanh", True, frozen=True, bias=False),
    *[
        Case(
            "layer_norm",
            tuple(Input(s) for s in shapes),
            arguments,
            length=20,
            c=32,
            magnitude="range",
            exact=False,
            expect=direct_layer_norm,
        )
        for shapes, arguments in (
            (((3, 4, 5), (5,), (5,)), {}),
            (((3, 4, 5), (4, 5), (4, 5)), {"eps": 1e-3}),
            (((3, 4, 5),), {}),
            (((2, 3, 4, 5),), {"normalized_shape": (3, 4, 5)}),
            (((0, 5), (5,), (5,)), {}),
        )
    ],
    *[
        Case(f, (Input((2, 3, 2, 7)),), arguments, length=7, c=16, exact=False, expect=direct)
        for f, arguments, direct in (
            (
                "local_response_norm",
                {"size": 4, "alpha": 0.5, "beta": 0.5, "k": 2.0},
                lambda x, size, alpha, **more: direct_response_norm(x, size, alpha / 4, **more),
            ),
            (
                "paper_local_response_norm",
                {"alpha": 0.1},
                lambda x, alpha: direct_response_norm(x, 5, alpha, k=2.0),
            ),
        )
    ],
    Case("paper_local_response_norm", (Input((0, 3, 3, 7)),), exact=False),
]

SCALES = [
    Case(
        "scale_channels",
        (Input(x), Input(s)),
        length=prod(x[1:3]),
        linear=(0, 1),
        expect=lambda x, s: x * s.reshape(len(x), 1, 1, -1) if len(x) else x,
    )
    for x, s in (
        ((2, 3, 4, 5), (2, 1, 1, 5)),
        ((2, 3, 4, 5), (2, 5)),
        ((0, 3, 4, 5), (0, 1, 1, 5)),
    )
]

RESIZES = [
    Case(
        "resize",
        (Input(x),),
        arguments,
        length=16,
        magnitude="products",
        exact=arguments.get("mode") is None,
        linear=(0,),
    )
    for x in ((2, 4, 5, 3), (0, 4, 5, 3))
    for arguments in (
        {"size": (8, 10)},
        {"size": (3, 7)},
        {"scale_factor": 2, "mode": "bilinear"},
        {"size": (7, 3), "mode": "bilinear"},
        {"size": (7, 1), "mode": "bilinear", "align_corners": True},
    )
]


SPATIAL_CASES = [
    *GRADIENTS,
    *TRANSPOSED,
    *ONE_D,
    *BROADCAST_PRODUCTS,
    *LENET,
    *NORMS,
    *SCALES,
    *RESIZES,
]
