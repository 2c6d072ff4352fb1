"""fc.analysis.explain: every algorithm that fits, its estimated cost, why one was chosen."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.analysis import explain
from fastconv.analysis.explain import WHAT
from fastconv.backend import Conv2dProblem, table_for
from fastconv.backend.select import NATIVE_BUILT
from fastconv.errors import ArgumentError, ShapeError
from tests.conv_cases import conv_problems
from tests.places import EVERYWHERE

DENSE = fc.nn.Conv2d(64, 64, 3, padding=1)
SHAPE = (8, 56, 56, 64)
native = pytest.mark.skipif(not NATIVE_BUILT, reason="fastconv._cpu is not built")


@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize("precision", ["ieee", "default"])
def test_it_tells_what_would_run(backend, precision):
    """On problems of every kind: the choice of the table, and all that fits."""
    fc.set_float32_precision(precision)
    try:
        with fc.use_backend(backend):
            K = table_for(())
            for row in conv_problems("sample", 48):
                problem = Conv2dProblem(**row)
                for direction in ("fwd", "dgrad", "wgrad"):
                    told = explain(problem, direction=direction, packed=False)
                    dtype = np.dtype("float32")
                    fits = K.conv2d_algorithms(problem, direction, dtype)
                    assert {c.name for c in told.candidates} == set(fits) <= set(WHAT)
                    choice = K.conv2d_choose(problem, direction, dtype, precision)
                    assert told.chosen == choice and choice in told.reason and choice in str(told)
    finally:
        fc.set_float32_precision("default")


@native
def test_a_layer_of_the_cpu():
    told = explain(DENSE, SHAPE)
    assert (told.chosen, told.backend, told.packed) == ("winograd", "cpu", True)
    assert told.reason == "winograd: the cheapest, limited by arithmetic"
    assert [c.name for c in told.candidates] == ["winograd", "implicit", "im2col"]
    costs = [c.cycles for c in told.candidates]
    assert costs == sorted(costs) and costs[1] > 2 * costs[0]
    lines = str(told).splitlines()
    assert "forward: x (8, 56, 56, 64), w (64, 3, 3, 64), y (8, 56, 56, 64)" in lines[0]
    assert any(line.startswith("  * winograd") and " 1.00 " in line for line in lines)


@native
@pytest.mark.usefixtures("ieee")
def test_what_precision_rules_out_is_said():
    told = explain(DENSE, SHAPE)
    assert told.chosen == "implicit" and "the precision is 'ieee'" in told.candidates[0].refused
    assert told.reason.startswith("winograd would cost less, but it rounds more")


@native
def test_float64_and_packed_weights():
    assert "than float64 arithmetic" in explain(DENSE, SHAPE, dtype="float64").reason
    small = fc.nn.Conv2d(512, 512, 3, padding=1)
    kept, fresh = (explain(small, (1, 7, 7, 512), packed=p).candidates for p in (True, False))
    cost = {c.name: c.cycles for c in kept}, {c.name: c.cycles for c in fresh}
    assert cost[0]["winograd"] < cost[1]["winograd"] and cost[0]["implicit"] == cost[1]["implicit"]


@native
def test_the_gradient_by_w_of_a_depthwise_layer_has_arithmetic():
    layer = fc.nn.Conv2d(96, 96, 5, padding=2, groups=96)
    for direction in ("fwd", "dgrad", "wgrad"):
        by_name = {c.name: c for c in explain(layer, (2, 14, 14, 96), direction).candidates}
        direct = by_name["direct_depthwise"]
        least = 2 * 14 * 14 * 25 * 96 / 16 / 2  # multiply-adds of AVX-512, two per cycle
        assert direct.arithmetic > least


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("resnet50",), ArgumentError, "problem must be a Conv2dProblem, .* got str"),
        ((DENSE,), ArgumentError, r"input_shape must be a tuple \(N, H, W, C\)"),
        ((DENSE, (1, 2, 3)), ArgumentError, "input_shape must be a tuple"),
        ((DENSE, (1, 9, 9, 32)), ShapeError, "32 channels"),
        ((DENSE, SHAPE, "backward"), ArgumentError, "direction must be one of fwd, dgrad, wgrad"),
    ],
)
def test_misuse_is_named(arguments, error, text):
    with pytest.raises(error, match=text):
        explain(*arguments)
