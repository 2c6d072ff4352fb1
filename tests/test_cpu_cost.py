"""The cost model of the CPU's algorithms: what it must know, whatever its rates."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.backend.cpu_cost import VECTOR_BYTES, cost
from fastconv.backend.problem import Conv2dProblem
from fastconv.backend.select import NATIVE_BUILT
from fastconv.errors import AlgorithmError

ISAS = tuple(VECTOR_BYTES)
DIRECTIONS = ("fwd", "dgrad", "wgrad")


def layer(h, c, k, r, stride=1, groups=1, n=8):
    pad, p = r // 2, (h + 2 * (r // 2) - r) // stride + 1
    return Conv2dProblem(n, h, h, c, k, r, r, p, p, (stride, stride), (pad,) * 4, (1, 1), groups)


def cheapest(problem, direction, isa, names):
    return min(names, key=lambda name: cost(problem, direction, name, 4, isa).rank)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_columns_are_never_cheaper_than_reading_the_image(direction, isa):
    for problem in (layer(56, 64, 64, 3), layer(7, 512, 512, 3), layer(224, 3, 64, 7, 2)):
        assert cheapest(problem, direction, isa, ("im2col", "implicit")) == "implicit"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_few_channels_per_group_go_along_the_lanes(direction, isa):
    names = ("implicit", "staged_depthwise", "im2col")
    for problem in (layer(56, 144, 144, 3, groups=144), layer(7, 960, 960, 3, groups=960)):
        assert cheapest(problem, direction, isa, names) == "staged_depthwise"
    half = VECTOR_BYTES[isa] // 4 // 2  # channels per group: two groups to a vector
    grouped = layer(56, 32 * half, 32 * half, 3, groups=32)
    assert cheapest(grouped, direction, isa, ("implicit", "staged_grouped")) == "staged_grouped"


def test_depthwise_reads_the_image_itself_but_for_strided_gradients():
    names = ("direct_depthwise", "staged_depthwise")
    strided, plain = layer(56, 144, 144, 3, 2, groups=144), layer(28, 240, 240, 5, groups=240)
    for direction in DIRECTIONS:
        assert cheapest(plain, direction, "avx512", names) == "direct_depthwise"
    assert cheapest(strided, "fwd", "avx512", names) == "direct_depthwise"
    assert cheapest(strided, "dgrad", "avx512", names) == "staged_depthwise"
    assert cheapest(strided, "wgrad", "avx512", names) == "direct_depthwise"


def test_gathering_lanes_one_by_one_loses_where_groups_grow():
    names = ("implicit", "staged_grouped")
    assert cheapest(layer(28, 96, 96, 3, groups=32), "fwd", "avx512", names) == "staged_grouped"
    assert cheapest(layer(28, 192, 192, 3, groups=32), "fwd", "avx512", names) == "implicit"


@pytest.mark.parametrize("algorithm", ["implicit", "im2col", "staged_depthwise"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_twice_the_images_cost_about_twice(direction, algorithm):
    groups = 32 if algorithm == "staged_depthwise" else 1
    one, two = (
        cost(layer(28, 32, 32, 3, groups=groups, n=n), direction, algorithm, 4, "avx2").cycles
        for n in (8, 16)
    )
    assert 1.8 < two / one < 2.2


def test_a_matrix_product_runs_at_the_rate_of_the_arithmetic():
    problem = layer(14, 256, 256, 3)
    lanes = VECTOR_BYTES["avx512"] // 4
    least = problem.macs / (2 * lanes)
    assert least < cost(problem, "fwd", "implicit", 4, "avx512").cycles < 1.15 * least
    # rows of a tile that the last one leaves empty are not multiplied, lanes beyond the columns are
    assert cost(layer(14, 256, 8, 3), "fwd", "implicit", 4, "avx512").arithmetic > least / 32


def test_winograd_pays_where_there_are_pixels_and_weights_are_kept():
    def pays(problem, packed):
        winograd, implicit = (
            cost(problem, "fwd", name, 4, "avx512", packed).cycles
            for name in ("winograd", "implicit")
        )
        return winograd < implicit

    assert pays(layer(56, 64, 64, 3), packed=False)
    # transforming the weights takes longer than the products save
    few = layer(14, 256, 256, 3, n=1)
    assert pays(few, packed=True) and not pays(few, packed=False)
    # a vector of 16 inputs and half of the outputs are empty
    assert not pays(layer(6, 1, 1, 3, n=1), packed=True)


@pytest.mark.skipif(not NATIVE_BUILT, reason="fastconv._cpu is not built (FASTCONV_NATIVE=OFF)")
def test_choose_takes_the_cheapest_and_use_algorithm_names_what_fits():
    from fastconv.backend import cpu

    problems = (
        layer(14, 64, 64, 1), layer(14, 64, 64, 3), layer(14, 64, 64, 3, groups=64),
        layer(14, 24, 40, 5, 2),
    )  # fmt: skip
    for problem in problems:
        for direction in DIRECTIONS:
            names = cpu.conv2d_algorithms(problem, direction, np.dtype("float32"))
            costs = [cost(problem, direction, name, 4, cpu.isa()).rank for name in names]
            assert costs == sorted(costs) and len(set(names)) == len(names) >= 2
            chosen = cpu.conv2d_choose(problem, direction, np.dtype("float32"), "default")
            assert chosen == names[0]
    x, w = fc.tensor(np.ones((1, 5, 5, 3), "f4")), fc.tensor(np.ones((2, 5, 5, 3), "f4"))
    with fc.use_algorithm("winograd"), pytest.raises(AlgorithmError, match="implicit, im2col"):
        fc.functional.conv2d(x, w)
