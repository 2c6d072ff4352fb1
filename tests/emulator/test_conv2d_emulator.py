"""The CUDA convolutions and matrix products in the emulator, against float64: every algorithm.

The list reaches every tile size, copies by four and by one, splits of the sum, phases of a stride,
groups and dilation; a seeded sample of tests/data/conv_problems.csv is drawn beside it.
"""

import numpy as np
import pytest

from fastconv.backend.activation import Activation
from fastconv.backend.problem import Conv2dProblem, Epilogue, Prologue
from fastconv.backend.select import backends
from fastconv.errors import AlgorithmError, DTypeError
from tests.conv_cases import conv_problems
from tests.native.conv2d_case import DIRECTIONS, SAME, operands, problem, run, truth
from tests.native.conv_rules import findings

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

from fastconv.backend.emulator import emulator_options, emulator_table
from tests.emulator.conv_rules import wide
from tests.emulator.counting import counters, total
from tests.emulator.traffic import unaligned

TABLE = emulator_table()

SCHEDULES = [{"schedule": "fifo"}, {"schedule": "lifo"}, {"schedule": "random", "seed": 11}]
PROBLEMS = {
    "3x3": problem(2, (7, 9), 8, 12, (3, 3), pad=SAME),
    "1x1": problem(2, (8, 8), 16, 24, (1, 1)),
    "1x1, tile of 128 x 128": problem(1, (64, 136), 16, 260, (1, 1)),
    "tile of 128 x 64": problem(2, (96, 96), 4, 24, (3, 3), pad=SAME),
    "few pixels, long sums": problem(1, (3, 3), 260, 36, (3, 3), pad=SAME),
    "odd channels": problem(1, (9, 9), 3, 5, (3, 3), pad=SAME, stride=(2, 2)),
    "stem": problem(2, (23, 23), 3, 16, (7, 7), pad=(3, 3, 3, 3), stride=(2, 2)),
    "stride 2": problem(2, (13, 11), 8, 16, (3, 3), pad=SAME, stride=(2, 2)),
    "stride 3, more phases than go together": problem(
        1, (13, 11), 8, 16, (5, 4), pad=(2, 1, 0, 1), stride=(3, 3), dilation=(1, 2)
    ),
    "stride beyond the window": problem(1, (7, 7), 4, 8, (1, 1), stride=(3, 3)),
    "dilation that meets the stride": problem(
        1, (17, 16), 4, 4, (3, 3), pad=(4, 4, 2, 2), stride=(2, 4), dilation=(4, 2)
    ),
    "groups": problem(2, (9, 9), 24, 16, (3, 3), pad=SAME, groups=2),
    "odd groups": problem(2, (9, 9), 12, 9, (3, 3), pad=SAME, groups=3, stride=(1, 2)),
    "depthwise with multiplier": problem(1, (7, 7), 6, 12, (3, 3), pad=SAME, groups=6),
    "padding beyond the image": problem(1, (3, 3), 4, 4, (3, 3), pad=(4, 4, 4, 4)),
    "one pixel": problem(1, (1, 1), 4, 4, (1, 1)),
    "many tiles to add up": problem(1, (184, 184), 3, 5, (1, 1)),
    "empty batch": problem(0, (5, 5), 4, 4, (3, 3), pad=SAME),
}
ALGORITHMS = ("implicit", "im2col", "1x1", "stem")


def fitting(p, direction="fwd"):
    return [a for a in TABLE.conv2d_algorithms(p, direction, np.float32) if a in ALGORITHMS]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_both_rules_of_correctness(name, direction):
    wrong = findings(PROBLEMS[name], direction, K=TABLE, dtypes=(np.float32,))
    assert [text for text in wrong if text] == []


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", [n for n in PROBLEMS if "tile" not in n])
def test_the_order_of_threads_and_of_copies_changes_no_bit(name, direction):
    p = PROBLEMS[name]
    a, b = operands(p, direction, np.float32, integers=False)
    for algorithm in fitting(p, direction):
        bits = set()
        for options in SCHEDULES:
            for eager in (False, True):
                with emulator_options(eager_copies=eager, **options):
                    bits.add(run(TABLE, p, direction, algorithm, a, b).tobytes())
        assert len(bits) == 1, algorithm


@pytest.mark.parametrize("row", conv_problems("sample", 48), ids=str)
def test_problems_that_broke_kernels_elsewhere(row):
    p = Conv2dProblem(**row)
    for direction in DIRECTIONS:
        wrong = findings(p, direction, K=TABLE, dtypes=(np.float32,))
        assert [text for text in wrong if text] == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(16))
def test_small_problems_that_broke_kernels_elsewhere(part):
    """Every fifth, of all kinds: the file has variations of a kind one after another, and all of
    them are an hour and a half of emulation."""
    rows = [Conv2dProblem(**row) for row in conv_problems("full")]
    chosen = [p for p in rows if p.macs <= 1_000_000][::5]
    assert len(chosen) > 800
    for p in chosen[part::16]:
        for direction in DIRECTIONS:
            wrong = findings(p, direction, K=TABLE, dtypes=(np.float32,))
            assert [text for text in wrong if text] == [], p


EPILOGUES = ["3x3", "1x1", "odd channels", "groups", "tile of 128 x 64"]


def epilogue_of(p, rng, act="relu", residual=True, sums=True):
    def draw(*shape):
        return rng.integers(-2, 3, shape).astype(np.float32)

    return Epilogue(
        draw(p.k),
        draw(p.k),
        draw(*p.y_shape) if residual else None,
        Activation(act),
        np.full((2, p.k), np.nan) if sums else None,
    )


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("sums", [False, True])
@pytest.mark.parametrize("name", [*EPILOGUES, "many tiles to add up", "empty batch"])
def test_epilogue(name, sums, residual):
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=True)
    ours = epilogue_of(p, np.random.default_rng(3), residual=residual, sums=sums)
    theirs = wide(ours)
    y64 = truth(p, "fwd", x, w, epilogue=theirs)
    for algorithm in fitting(p):
        np.testing.assert_array_equal(run(TABLE, p, "fwd", algorithm, x, w, epilogue=ours), y64)
        if sums:
            np.testing.assert_array_equal(ours.sums, theirs.sums)
            ours.sums[...] = np.nan


@pytest.mark.parametrize("act", ["silu", "gelu", "leaky_relu"])
def test_activations_of_the_epilogue(act):
    p = PROBLEMS["3x3"]
    x, w = operands(p, "fwd", np.float32, integers=False)
    epilogue = epilogue_of(p, np.random.default_rng(3), act, sums=False)
    y64 = truth(p, "fwd", x, w, epilogue=wide(epilogue))
    for algorithm in fitting(p):
        y = run(TABLE, p, "fwd", algorithm, x, w, epilogue=epilogue)
        np.testing.assert_allclose(y, y64, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["3x3", "1x1", "odd channels", "groups", "stride 2"])
@pytest.mark.parametrize("direction", ["fwd", "wgrad"])
def test_prologue_leaves_the_padding_zero(name, direction):
    p = PROBLEMS[name]
    a, b = operands(p, direction, np.float32, integers=True)
    rng = np.random.default_rng(4)
    scale, shift = (rng.integers(-2, 3, p.c).astype(np.float32) for _ in range(2))
    ours = Prologue(scale, shift, Activation("relu"))
    exact = truth(p, direction, a, b, prologue=wide(ours))
    for algorithm in fitting(p, direction):
        came = run(TABLE, p, direction, algorithm, a, b, prologue=ours)
        np.testing.assert_array_equal(came, exact, err_msg=algorithm)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["3x3", "1x1", "few pixels, long sums", "groups"])
def test_arrays_that_begin_inside_a_vector_give_the_same_bits(name, direction):
    p = PROBLEMS[name]
    a, b = operands(p, direction, np.float32, integers=False)
    for algorithm in fitting(p, direction):
        expected = run(TABLE, p, direction, algorithm, a, b)
        np.testing.assert_array_equal(
            run(TABLE, p, direction, algorithm, unaligned(a), b), expected
        )
        np.testing.assert_array_equal(
            run(TABLE, p, direction, algorithm, a, unaligned(b)), expected
        )


@pytest.mark.parametrize("name", ["tile of 128 x 64", "1x1, tile of 128 x 128"])
def test_sums_of_arrays_that_begin_inside_a_vector(name):
    """They go by smaller tiles, and so by more sums of tiles."""
    p = PROBLEMS[name]
    x, w = operands(p, "fwd", np.float32, integers=True)
    ours = epilogue_of(p, np.random.default_rng(3), residual=False)
    theirs = wide(ours)
    y64 = truth(p, "fwd", x, w, epilogue=theirs)
    for algorithm in fitting(p):
        came = run(TABLE, p, "fwd", algorithm, unaligned(x), w, epilogue=ours)
        np.testing.assert_array_equal(came, y64)
        np.testing.assert_array_equal(ours.sums, theirs.sums)
        ours.sums[...] = np.nan


# ---- matrix product


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize(
    "size", [(1, 1, 1), (65, 130, 17), (36, 20, 1100), (7, 5, 0), (0, 4, 3), (1600, 1600, 4)]
)
def test_gemm(size, trans_a, trans_b):
    m, n, k = size
    rng = np.random.default_rng(5)
    a = rng.integers(-3, 4, (k, m) if trans_a else (m, k)).astype(np.float32)
    b = rng.integers(-3, 4, (n, k) if trans_b else (k, n)).astype(np.float32)
    scale, shift = (rng.integers(-3, 4, n).astype(np.float32) for _ in range(2))
    residual = rng.integers(-3, 4, (m, n)).astype(np.float32)
    sums = np.full((2, n), np.nan)
    workspace = np.empty(TABLE.gemm_workspace(m, n, k, np.float32), np.uint8)
    product = (a.T if trans_a else a).astype(np.float64) @ (b.T if trans_b else b)

    c = np.full((m, n), np.nan, np.float32)
    TABLE.gemm(a, b, c, trans_a, trans_b, workspace)
    np.testing.assert_array_equal(c, product)

    before = product * scale + shift
    epilogue = Epilogue(scale, shift, residual, Activation("relu"), sums)
    TABLE.gemm(a, b, c, trans_a, trans_b, workspace, epilogue)
    np.testing.assert_array_equal(c, np.maximum(before + residual, 0))
    np.testing.assert_array_equal(sums, [before.sum(0), (before**2).sum(0)])


# ---- what memory traffic costs


def traffic(p, direction, algorithm):
    """(space, kind) -> transfers over ideal, of the product kernel."""
    a, b = operands(p, direction, np.float32, integers=True)
    rows = counters(lambda: run(TABLE, p, direction, algorithm, a, b))
    rows = [r for r in rows if "product_kernel" in r["kernel"]]
    which = [{"space": r["space"], "kind": r["kind"]} for r in rows]
    return {
        tuple(key.values()): total(rows, "transfers", **key) / total(rows, "ideal", **key)
        for key in which
    }


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("p", "algorithm"),
    [
        (problem(2, (28, 28), 32, 64, (3, 3), pad=SAME), "implicit"),
        (problem(2, (28, 28), 64, 64, (1, 1)), "1x1"),
    ],
)
def test_loads_and_stores_move_what_they_must(p, algorithm, direction):
    found = traffic(p, direction, algorithm)
    # rows of an image's edge read fewer bytes of a sector that others want too
    assert found["global", "read"] <= 1 / 0.9
    assert found["global", "write"] <= 1 / 0.9
    assert found["shared", "read"] == 1
    assert found["shared", "write"] <= 1.3


# ---- errors


def test_a_forced_algorithm_that_does_not_fit_is_named():
    with pytest.raises(AlgorithmError, match="'1x1' does not fit"):
        TABLE.conv2d_workspace(PROBLEMS["3x3"], "fwd", "1x1", np.float32)


def test_float64_is_refused_with_the_way_out():
    p = PROBLEMS["3x3"]
    x, w = operands(p, "fwd", np.float64, integers=True)
    with pytest.raises(DTypeError, match=r"take float32, came float64.*reference"):
        run(TABLE, p, "fwd", "implicit", x, w)


def test_a_wrong_shape_is_named():
    p = PROBLEMS["3x3"]
    x, w = operands(p, "fwd", np.float32, integers=True)
    with pytest.raises(ValueError, match=r"conv2d_fwd: w: expected shape \(12, 3, 3, 8\)"):
        TABLE.conv2d_fwd(x, w[:, :2].copy(), np.empty(p.y_shape, "f"), p, "implicit", None)
