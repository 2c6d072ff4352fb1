"""THE list of problems, shared by tests and benchmarks: every op, tiny, odd, prime, empty, 0-d.

A new op adds its cases here; every test of tests/test_ops.py then runs on them.
"""

from math import erf, prod

import numpy as np

import fastconv as fc
from tests.case import Case, Input
from tests.conv_cases import CONV_CASES
from tests.spatial_cases import SPATIAL_CASES

__all__ = ["CASES"]


def normal(*shape):
    return Input(shape)


def fixed(*shape, kind="normal"):
    return Input(shape, kind, fixed=True)


def distinct(*shape):
    return Input(shape, "distinct")


def positive(*shape):
    return Input(shape, "positive")


def labels(*shape, classes):
    return Input(shape, "labels", classes)


# shapes of two operands: equal, 0-d, empty, broadcast from either side and from both
PAIRS = (
    ((2, 3, 5, 7), (2, 3, 5, 7)),
    ((), ()),
    ((0, 3), (0, 3)),
    ((0, 3), (1, 3)),
    ((2, 3, 5, 7), (7,)),
    ((7,), (4, 7)),
    ((2, 1, 5, 1), (3, 1, 7)),
    ((3, 1), (3,)),
    ((1, 3), (3,)),
    ((5,), ()),
)


def _repeats(a, b):
    """How many elements of the result one element of the smaller operand makes."""
    whole = prod(np.broadcast_shapes(a, b))
    return max(whole // max(min(prod(a), prod(b)), 1), 1)


ARITHMETIC = [
    *[
        Case(f, (normal(*a), normal(*b)), length=_repeats(a, b), linear=(0, 1), expect=g)
        for f, g in (("add", np.add), ("mul", np.multiply))
        for a, b in PAIRS
    ],
    *[Case("sub", (normal(*a), normal(*b)), linear=(0, 1), expect=np.subtract) for a, b in PAIRS],
    *[
        Case("div", (normal(*a), positive(*b)), linear=(0,), exact=False, expect=np.divide)
        for a, b in PAIRS
    ],
    *[Case("pow", (positive(*a), normal(*b)), exact=False, expect=np.power, c=8) for a, b in PAIRS],
    *[
        Case(f, (normal(*a), normal(*b)), expect=g)
        for f, g in (("maximum", np.maximum), ("minimum", np.minimum))
        for a, b in PAIRS
    ],
    Case("add", (normal(3, 5),), {"y": 2}, linear=(), expect=lambda x, y: x + 2),
    Case("mul", (normal(3, 5),), {"y": -1.5}, linear=(0,), expect=lambda x, y: x * -1.5),
    Case("pow", (normal(3, 5),), {"y": 2}, expect=lambda x, y: x * x),
    Case("pow", (positive(3, 5),), {"y": 0.5}, exact=False, c=8, expect=lambda x, y: np.sqrt(x)),
    Case("neg", (normal(3, 5),), linear=(0,), expect=np.negative),
    Case("abs", (normal(3, 5),), expect=np.abs),
    Case("exp", (normal(3, 5),), exact=False, expect=np.exp),
    Case("log", (positive(3, 5),), exact=False, expect=np.log),
    Case("sqrt", (positive(3, 5),), exact=False, expect=np.sqrt),
    Case("exp", (normal(),), exact=False, expect=np.exp),
    *[
        Case("add_act", (normal(*s), normal(*s)), {"act": act}, exact=act == "relu", magnitude=m)
        for s in ((2, 3, 5, 7), (0, 2, 2, 3))
        for act, m in (("relu", "products"), ("silu", "range"), ("identity", "products"))
    ],
    Case("clip", (normal(4, 5),), {"min": -0.75, "max": 1.25}, expect=np.clip),
    Case("clip", (normal(4, 5),), {"max": 1}, expect=lambda x, max: np.minimum(x, max)),
    Case("where", (Input((4, 5), "bool"), normal(4, 5), normal(5)), linear=(), expect=np.where),
    Case("where", (Input((4, 1), "bool"), normal(), normal(2, 1, 3)), expect=np.where),
    *[
        Case(f, (normal(3, 4), normal(4)), gradient=False, expect=getattr(np, f))
        for f in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    ],
    Case("astype", (normal(3, 4),), {"dtype": "float64"}, linear=(0,)),
    Case("astype", (normal(3, 4),), {"dtype": "int32"}, gradient=False),
]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _relu6(x):
    return np.clip(x, 0, 6)


_erf = np.vectorize(erf, otypes=[float])

ACTIVATIONS = [
    *[
        Case(f, (normal(*s),), exact=exact, magnitude=m, expect=g)
        for s in ((2, 3, 5, 7), (0, 4), ())
        for f, exact, m, g in (
            ("relu", True, "output", lambda x: np.maximum(x, 0)),
            ("relu6", True, "output", _relu6),
            ("leaky_relu", False, "output", lambda x: np.where(x > 0, x, 0.01 * x)),
            ("elu", False, "range", lambda x: np.where(x > 0, x, np.exp(x) - 1)),
            ("silu", False, "range", lambda x: x * _sigmoid(x)),
            ("hardswish", False, "range", lambda x: x * _relu6(x + 3) / 6),
            ("hardsigmoid", False, "range", lambda x: _relu6(x + 3) / 6),
            ("gelu", False, "range", lambda x: x * (1 + _erf(x / np.sqrt(2))) / 2),
            ("sigmoid", False, "range", _sigmoid),
            ("tanh", False, "range", np.tanh),
            ("scaled_tanh", False, "range", lambda x: 1.7159 * np.tanh(2 / 3 * x)),
        )
    ],
]


def _axes(f):
    """f(x, axis, keepdims) in NumPy."""
    return lambda x, axis=None, keepdims=False, **more: f(x, axis=axis, keepdims=keepdims, **more)


REDUCED = (
    ((2, 3, 5, 7), None, False),
    ((2, 3, 5, 7), (1, 2), False),
    ((2, 3, 5, 7), -1, True),
    ((2, 3, 5, 7), (3, 0), True),
    ((4, 5), 0, False),
    ((), None, False),
    ((3, 1), 1, False),
)


def _reduced(f, g, shapes=REDUCED, **more):
    for shape, axis, keepdims in shapes:
        sizes = shape if axis is None else [shape[a] for a in np.atleast_1d(axis)]
        arguments = {"axis": axis, "keepdims": keepdims}
        yield Case(
            f, (distinct(*shape),), arguments, length=max(prod(sizes), 1), expect=_axes(g), **more
        )


def _largest(x, k, axis=-1):
    """The values of topk."""
    return -np.take(np.sort(-x, axis), range(k), axis)


EMPTY = (((0, 3), 0, False), ((0, 3), 1, True), ((2, 0), None, False))
REDUCTIONS = [
    *_reduced("sum", np.sum, REDUCED + EMPTY, magnitude="products", linear=(0,)),
    *_reduced(
        "mean", np.mean, (*REDUCED, EMPTY[1]), magnitude="products", exact=False, linear=(0,)
    ),
    *_reduced("max", np.max, (*REDUCED, EMPTY[1])),
    *_reduced("min", np.min, (*REDUCED, EMPTY[1])),
    *_reduced("var", np.var, magnitude="products", exact=False, c=64),
    Case("var", (normal(4, 5),), {"axis": 0, "ddof": 1}, exact=False, c=64, magnitude="range"),
    *[
        Case(
            "argmax",
            (distinct(*s),),
            {"axis": a, "keepdims": k},
            gradient=False,
            expect=_axes(np.argmax),
        )
        for s, a, k in (*REDUCED[2:3], *REDUCED[4:])
    ],
    Case("argmax", (distinct(2, 3),), gradient=False, expect=np.argmax),
    Case("topk", (distinct(3, 7),), {"k": 3}, expect=_largest),
    Case("topk", (distinct(5, 2, 3),), {"k": 5, "axis": 0}, expect=_largest),
]


def _get(key):
    return lambda x: x[key]


def _indexed(shape, key, label):
    return Case(
        "getitem", (normal(*shape),), label=label, call=_get(key), linear=(0,), expect=_get(key)
    )


SHAPES = [
    Case(
        "reshape", (normal(2, 3, 4),), call=lambda x: fc.functional.reshape(x, 6, -1), linear=(0,)
    ),
    Case("reshape", (normal(0, 3),), call=lambda x: fc.functional.reshape(x, (3, 0)), linear=(0,)),
    Case("flatten", (normal(2, 3, 4),), linear=(0,), expect=lambda x: x.reshape(2, 12)),
    Case("squeeze", (normal(2, 1, 4, 1),), linear=(0,), expect=np.squeeze),
    Case("squeeze", (normal(2, 1, 4, 1),), {"axis": 1}, linear=(0,), expect=np.squeeze),
    Case("expand_dims", (normal(2, 3),), {"axis": -1}, linear=(0,), expect=np.expand_dims),
    Case("unsqueeze", (normal(2, 3),), {"axis": 1}, linear=(0,), expect=np.expand_dims),
    *[
        Case(
            "transpose",
            (normal(*s),),
            label=str(a),
            call=lambda x, a=a: fc.functional.transpose(x, *a),
            linear=(0,),
            expect=lambda x, a=a: np.transpose(x, a or None),
        )
        for s, a in (((2, 3, 4, 5), (0, 3, 1, 2)), ((2, 3), ()), ((3, 0, 2), (2, 0, 1)))
    ],
    _indexed((4, 5), 1, "row"),
    _indexed((4, 5), (slice(1, 3),), "rows, a view"),
    _indexed((4, 5), (slice(None), 2), "column"),
    _indexed((4, 5), (slice(None, None, -2), slice(1, None)), "backwards"),
    _indexed((4, 5, 3), (..., None, 1), "ellipsis and None"),
    _indexed((4, 5), (slice(3, 3),), "nothing"),
    _indexed((4,), 2, "element"),
    _indexed((4, 5), [3, 0, 3, -1], "rows with repetition"),
    _indexed((4, 5, 3), (slice(None), [[0, 4], [4, 4]]), "integer matrix inside"),
    _indexed((4, 5, 3), ([1, 1, 2], slice(None), [0, 0, 2]), "two arrays apart"),
    _indexed((4, 5, 3), (slice(1, 3), [1, 1, 2], [0, 0, 2]), "two arrays together"),
    _indexed((4, 5, 3), (1, slice(None), [0, 0, 2]), "int and array apart"),
    _indexed((4, 5), np.zeros((0,), np.int64), "no rows"),
    *[
        Case(
            "concat",
            tuple(normal(*s) for s in shapes),
            {"axis": axis},
            listed=True,
            linear=all_,
            expect=lambda *xs, axis: np.concatenate(xs, axis),
        )
        for shapes, axis, all_ in (
            (((2, 3, 4), (2, 3, 1), (2, 3, 2)), -1, (0, 1, 2)),
            (((2, 3), (0, 3)), 0, (0, 1)),
            (((5,),), 0, (0,)),
        )
    ],
    *[
        Case(
            "stack",
            tuple(normal(*shape) for _ in range(n)),
            {"axis": axis},
            listed=True,
            linear=tuple(range(n)),
            expect=lambda *xs, axis: np.stack(xs, axis),
        )
        for shape, n, axis in (((2, 3), 2, 0), ((2, 3), 2, -1), ((), 3, 0))
    ],
    *[
        Case(
            "split",
            (normal(2, 6),),
            {"indices_or_sections": i, "axis": 1},
            linear=(0,),
            expect=lambda *a, **k: np.split(*a, **k)[0],
        )
        for i in (3, 1, (1, 1, 4))
    ],
    *[
        Case(
            "pad",
            (normal(*shape),),
            {"padding": padding, "value": value},
            linear=() if value else (0,),
            expect=lambda x, padding, value, sides=sides: np.pad(x, sides, constant_values=value),
        )
        for shape, padding, sides, value in (
            ((2, 3, 4, 2), (1, 0, 2, 3), ((0, 0), (1, 0), (2, 3), (0, 0)), 0.0),
            ((0, 3, 4, 2), 1, ((0, 0), (1, 1), (1, 1), (0, 0)), 0.0),
            ((1, 2, 2, 3), (0, 1), ((0, 0), (0, 0), (1, 1), (0, 0)), -2.5),
        )
    ],
    Case("channel_shuffle", (normal(2, 3, 2, 12),), {"groups": 3}, linear=(0,)),
    Case("channel_shuffle", (normal(0, 3, 2, 4),), {"groups": 2}, linear=(0,)),
]


def _one_hot(labels, classes):
    return np.eye(classes)[labels]


def _softmax(x, axis):
    e = np.exp(x)
    return e / e.sum(axis, keepdims=True)


def _cross_entropy(x, t, label_smoothing=0.0, reduction="mean"):
    target = _one_hot(t, x.shape[-1]) * (1 - label_smoothing) + label_smoothing / x.shape[-1]
    rows = -(target * (x - np.log(np.exp(x).sum(-1, keepdims=True)))).sum(-1)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](rows)


LOSSES = [
    *[
        Case(
            f,
            (normal(*s),),
            {"axis": a},
            length=s[a],
            c=8,
            magnitude="range",
            exact=False,
            expect=g,
        )
        for f, g in (
            ("softmax", _softmax),
            ("log_softmax", lambda x, axis: np.log(_softmax(x, axis))),
        )
        for s, a in (((5, 7), -1), ((2, 3, 5), 1), ((4,), 0), ((0, 3), -1), ((3, 1), -1))
    ],
    *[
        Case(
            "cross_entropy",
            (normal(n, 11), labels(n, classes=11)),
            {"label_smoothing": s, "reduction": r},
            length=n * 11 if r == "sum" else 11,
            c=8 * n if r == "sum" else 8,
            magnitude="range",
            exact=False,
            expect=_cross_entropy,
        )
        for n in (1, 7)
        for s in (0.0, 0.1)
        for r in ("mean", "sum", "none")
    ],
    Case(
        "cross_entropy",
        (normal(0, 3), labels(0, classes=3)),
        {"reduction": "sum"},
        exact=False,
    ),
    Case(
        "cross_entropy",
        (normal(2, 5, 3), labels(2, 5, classes=3)),
        {"reduction": "none"},
        exact=False,
        magnitude="range",
        expect=_cross_entropy,
    ),
    *[
        Case(
            "binary_cross_entropy_with_logits",
            (normal(5, 3), fixed(5, 3, kind="unit")),
            {"reduction": r},
            length=15,
            magnitude="range",
            exact=False,
            expect=lambda x, t, reduction: {"mean": np.mean, "sum": np.sum, "none": np.asarray}[
                reduction
            ](np.log1p(np.exp(x)) - x * t),
        )
        for r in ("mean", "sum", "none")
    ],
    *[
        Case(
            "mse_loss",
            (normal(5, 3), normal(5, 3)),
            {"reduction": r},
            length=15,
            c=16,
            magnitude="range",
            exact=r != "mean",
        )
        for r in ("mean", "sum", "none")
    ],
]

RANDOM = [
    Case("dropout", (normal(3, 17),), {"p": 0.5}, linear=(0,)),
    Case("dropout", (normal(3, 17),), {"p": 0.3}, linear=(0,), exact=False),
    Case("dropout", (normal(0, 3),), {"p": 0.3}, linear=(0,), exact=False),
    Case("drop_path", (normal(6, 2, 2, 3),), {"p": 0.25}, linear=(0,), exact=False),
    Case("drop_path", (normal(0, 2, 2, 3),), {"p": 0.5}, linear=(0,)),
]

CASES = [
    *ARITHMETIC,
    *ACTIVATIONS,
    *REDUCTIONS,
    *SHAPES,
    *LOSSES,
    *RANDOM,
    *CONV_CASES,
    *SPATIAL_CASES,
]
