"""Misuse of element-wise ops, reductions, indexing and losses: the class, and the numbers said."""

import re

import numpy as np
import pytest

import fastconv as fc
from fastconv.errors import ArgumentError, DTypeError, FastconvError, GradientError, ShapeError

F = fc.functional


def x(*shape, dtype="float32", **more):
    return fc.tensor(np.zeros(shape, dtype), **more)


ints = np.array([0, 1, 2])

MISUSE = [
    (lambda: x(2, 3) + x(2), ShapeError, "add: shapes (2, 3) and (2,) do not broadcast"),
    (lambda: x(2) * x(2, dtype="float64"), DTypeError, "mul: the operands are float32 and float64"),
    (lambda: x(2) - x(2, dtype="int64"), DTypeError, "sub: the operands are float32 and int64"),
    (lambda: x(2, dtype="bool") + 1, DTypeError, "add: operands are bool"),
    (lambda: x(2, dtype="int64") / 2, DTypeError, "div: x must be a floating-point tensor"),
    (
        lambda: x(2, dtype="int64") + 0.5,
        DTypeError,
        "add: 0.5 does not fit a tensor of dtype int64",
    ),
    (lambda: x(2, dtype="uint8") + 300, DTypeError, "add: 300 does not fit dtype uint8"),
    (lambda: F.add(1, 2), ArgumentError, "add: at least one operand must be a tensor"),
    (
        lambda: F.mul(x(2), "two"),
        ArgumentError,
        "mul: an operand must be a tensor, an array or a number",
    ),
    (lambda: x(2).astype("float32").exp() > x(2, dtype="float64"), DTypeError, "greater: "),
    (lambda: x(2, dtype="int32").exp(), DTypeError, "exp: x must be a floating-point tensor"),
    (lambda: x(2, dtype="bool").__neg__(), DTypeError, "neg: x is bool"),
    (lambda: F.add_act(x(2), x(3), "relu"), ShapeError, "add_act: x has shape (2,), y (3,)"),
    (lambda: F.add_act(x(2), x(2), "rleu"), ArgumentError, "rleu"),
    (lambda: x(2, 3).sum(axis=2), ArgumentError, "sum: axis 2 is out of range for shape (2, 3)"),
    (lambda: x(2, 3).sum(axis=(0, -2)), ArgumentError, "names an axis of shape (2, 3) twice"),
    (lambda: x(2, 3).sum(axis="rows"), ArgumentError, "sum: axis must be an int, got 'rows'"),
    (lambda: x(2, 3).sum(dim=1), ArgumentError, "sum: dim= is PyTorch's spelling; use axis="),
    (lambda: F.softmax(x(2, 3), dim=1), ArgumentError, "softmax: dim= is PyTorch's spelling"),
    (lambda: F.softmax(np.zeros((2, 3)), dim=1), ArgumentError, "use axis="),
    (lambda: x(2).mean(keepdim=True), ArgumentError, "mean: keepdim= is PyTorch's spelling"),
    (lambda: fc.concat([x(2), x(2)], dim=0), ArgumentError, "concat: dim="),
    (lambda: x(0, 3).max(axis=0), ShapeError, "max: no elements along axis 0 of shape (0, 3)"),
    (lambda: x(0).argmax(), ShapeError, "argmax: no elements along axis None of shape (0,)"),
    (lambda: x(2, 3).argmax(axis=(0, 1)), ArgumentError, "argmax: axis must be an int"),
    (lambda: x(2, dtype="int64").var(), DTypeError, "var: x must be a floating-point tensor"),
    (lambda: x(3).var(ddof=3), ArgumentError, "below the 3 elements averaged, got 3"),
    (lambda: x(5).topk(6), ArgumentError, "topk: k must be from 1 to the 5 elements"),
    (lambda: x(2, 3).reshape(4), ShapeError, "reshape: 6 elements of shape (2, 3) do not fit"),
    (lambda: x(2, 3).reshape(-1, 4), ShapeError, "do not fit shape (-1, 4)"),
    (lambda: x(2, 3).reshape(-1, -1), ShapeError, "do not fit shape (-1, -1)"),
    (lambda: x(2, 3).reshape(-2, 3), ArgumentError, "at least 0, or -1 once, got (-2, 3)"),
    (lambda: x(2, 3).reshape(2.0, 3), ArgumentError, "ints or one tuple of ints, got (2.0, 3)"),
    (lambda: x(2, 3).squeeze(axis=0), ShapeError, "squeeze: axis 0 of shape (2, 3) is not of size"),
    (lambda: x(2).expand_dims(3), ArgumentError, "expand_dims: axis 3 is out of range"),
    (lambda: x(2, 3).flatten(2), ArgumentError, "flatten: start_axis 2 is out of range"),
    (lambda: x(2, 3).transpose(0, 0), ArgumentError, "axes (0, 0) must name each of the 2 axes"),
    (lambda: x(2, 3).transpose(0), ArgumentError, "axes (0,) must name each of the 2 axes"),
    (lambda: x(2, 3)[2], ArgumentError, "index 2 is out of range for axis 0 of shape (2, 3)"),
    (lambda: x(2, 3)[0, 0, 0], ArgumentError, "3 indices for 2 axes of shape (2, 3)"),
    (lambda: x(2, 3)[..., ...], ArgumentError, "... may stand once"),
    (lambda: x(2, 3)[0.5], ArgumentError, "got 0.5"),
    (lambda: x(2, 3)[[0.5]], ArgumentError, "index arrays must be integers, got float64"),
    (lambda: x(2, 3)[:, [0, 3]], ArgumentError, "index 3 is out of range for axis 1"),
    (lambda: x(2, 3)[[-3]], ArgumentError, "index -3 is out of range for axis 0"),
    (lambda: x(3)[x(3) > 0], ArgumentError, "boolean masks (here of shape (3,))"),
    (lambda: x(3)[True], ArgumentError, "boolean masks"),
    (lambda: x(4, 5)[[0, 1], [0, 1, 2]], ShapeError, "shapes (2,) and (3,) do not broadcast"),
    (lambda: x(3).__setitem__(0, [1.0, 2.0]), ShapeError, "does not fit the place of shape ()"),
    (lambda: x(3).__setitem__([0], 1.0), ArgumentError, "no arrays"),
    (lambda: fc.where(ints, x(3), 0.0), DTypeError, "condition must be bool, got int64"),
    (lambda: fc.where(ints > 0, x(3), x(3, dtype="float64")), DTypeError, "b is float64"),
    (lambda: x(3).clip(), ArgumentError, "clip: give min, max or both"),
    (lambda: x(3).clip(2, 1), ArgumentError, "clip: min 2 is above max 1"),
    (lambda: x(3).clip("a", 1), ArgumentError, "clip: min must be a number or None, got 'a'"),
    (lambda: fc.concat([]), ArgumentError, "concat: expected a list of at least one tensor"),
    (lambda: fc.concat(x(3)), ArgumentError, "got Tensor"),
    (lambda: fc.concat([x(2, 3), x(2, 4)]), ShapeError, "array 1 has shape (2, 4), array 0 (2, 3)"),
    (lambda: fc.concat([x(2), x(2, dtype="float64")]), DTypeError, "array 1 is float64"),
    (lambda: fc.stack([x(2), x(3)]), ShapeError, "stack: array 1 has shape (3,), array 0 (2,)"),
    (lambda: F.split(x(7), 2), ArgumentError, "split: 2 sections do not divide the 7 of axis 0"),
    (lambda: F.split(x(7), [3, 2]), ArgumentError, "must rise from 0 to the size 7"),
    (lambda: F.pad(x(1, 2, 2, 1), "same"), ArgumentError, "'same' needs a window"),
    (lambda: F.pad(x(2, 2), 1), ShapeError, "pad: x must have 4 axes"),
    (lambda: F.pad(x(1, 2, 2, 1), -1), ArgumentError, "none negative, got -1"),
    (lambda: F.channel_shuffle(x(1, 10), 3), ArgumentError, "groups=3 must divide the 10 channels"),
    (lambda: x(2).astype("float31"), DTypeError, "float31"),
    (lambda: x(2).astype("complex64"), DTypeError, "got complex64"),
    (lambda: F.softmax(x(3, 0)), ShapeError, "softmax: no classes along the last axis"),
    (
        lambda: F.cross_entropy(x(3, 5), np.array([0, 5, 1])),
        ArgumentError,
        "labels must be from 0 to 4 for 5 classes, got 5 at row 1",
    ),
    (lambda: F.cross_entropy(x(3, 5), np.array([0, -1, 1])), ArgumentError, "got -1 at row 1"),
    (lambda: F.cross_entropy(x(3, 5), x(3, 5)), DTypeError, "labels must be integers"),
    (lambda: F.cross_entropy(x(3, 5), ints[:2]), ShapeError, "labels of shape (3,), got (2,)"),
    (lambda: F.cross_entropy(x(3), ints), ShapeError, "cross_entropy: logits (3,)"),
    (
        lambda: F.cross_entropy(x(3, 5), ints, 1.5),
        ArgumentError,
        "label_smoothing must be a number",
    ),
    (
        lambda: F.cross_entropy(x(3, 5), ints, reduction="avg"),
        ArgumentError,
        "reduction must be one of ('mean', 'sum', 'none'), got 'avg'",
    ),
    (lambda: F.mse_loss(x(3), x(4)), ShapeError, "mse_loss: x has shape (3,), t (4,)"),
    (
        lambda: F.binary_cross_entropy_with_logits(x(3), x(3, requires_grad=True)),
        GradientError,
        "give t.detach()",
    ),
    (lambda: F.binary_cross_entropy_with_logits(x(3), ints), DTypeError, "t must be a floating"),
    (lambda: F.dropout(x(3), 1.0), ArgumentError, "dropout: p must be a number in [0, 1), got 1.0"),
    (lambda: F.drop_path(x(), 0.5), ShapeError, "drop_path: x needs a batch axis"),
]


@pytest.mark.parametrize("call, error, text", MISUSE, ids=[text for *_, text in MISUSE])
def test_misuse(call, error, text):
    with pytest.raises(error, match=re.escape(text)) as caught:
        call()
    assert isinstance(caught.value, FastconvError)


def test_what_is_no_operand_is_left_to_python():
    assert (x(2) == None) is False  # noqa: E711
    assert x(2) != "two"
    with pytest.raises(TypeError, match="unsupported operand"):
        x(2) + "two"
    with pytest.raises(TypeError, match="not supported between"):
        x(2) < [1, 2]  # noqa: B015


def test_other_unknown_keywords_stay_type_errors():
    with pytest.raises(TypeError, match="axes"):
        x(2).sum(axes=0)
