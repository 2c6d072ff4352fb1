"""The CPU matrix product and the per-channel sums against NumPy in float64."""

import numpy as np
import pytest

from fastconv.backend.activation import Activation
from fastconv.backend.problem import Epilogue
from fastconv.backend.select import NATIVE_BUILT
from fastconv.errors import DTypeError

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu

DTYPES = (np.float32, np.float64)
TRANSPOSITIONS = [(False, False), (False, True), (True, False), (True, True)]
SIZES = [  # m, n, k
    (1, 1, 1),
    (1, 130, 300),
    (4, 33, 1025),
    (8, 700, 33),
    (9, 512, 8),
    (16, 1030, 19),  # the last that is computed as dot products, or as combinations of rows
    (17, 1030, 19),
    (14, 32, 256),
    (113, 257, 129),
    (40, 7, 4500),  # k in chunks
    (3, 5, 0),
    (0, 5, 3),
    (5, 0, 3),
]
LARGE_B = (30, 1030, 4200)  # too large to be packed as a whole


def operands(m, n, k, trans_a, trans_b, dtype, integers):
    rng = np.random.default_rng(5)
    shapes = ((k, m) if trans_a else (m, k)), ((n, k) if trans_b else (k, n))
    draw = (lambda s: rng.integers(-3, 4, s)) if integers else rng.standard_normal
    return [draw(s).astype(np.float32).astype(dtype) for s in shapes]


def run(a, b, trans_a, trans_b, epilogue=None):
    m, k = a.shape[::-1] if trans_a else a.shape
    n = b.shape[0 if trans_b else 1]
    c = np.full((m, n), np.nan, a.dtype)
    workspace = np.full(cpu.gemm_workspace(m, n, k, a.dtype), 255, np.uint8)
    options = () if epilogue is None else (epilogue,)
    cpu.gemm(a, b, c, trans_a, trans_b, workspace, *options)
    return c


def wide(a, b, trans_a, trans_b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a.T if trans_a else a) @ (b.T if trans_b else b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans", TRANSPOSITIONS)
@pytest.mark.parametrize("size", [*SIZES, LARGE_B])
def test_exact_on_integers_bounded_on_reals_same_bits_for_threads(size, trans, dtype, threads):
    exact = operands(*size, *trans, dtype, integers=True)
    real = operands(*size, *trans, dtype, integers=False)
    # c = 1: stated in csrc/cpu/kernels/tile.h
    magnitude = wide(np.abs(real[0]), np.abs(real[1]), *trans)
    bound = np.sqrt(size[2]) * np.finfo(dtype).eps * magnitude
    bits = set()
    for n in (1, 2, 3, 7):
        threads(n)
        np.testing.assert_array_equal(run(*exact, *trans), wide(*exact, *trans))
        c = run(*real, *trans)
        assert (np.abs(c - wide(*real, *trans)) <= bound).all()
        bits.add(c.tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_epilogue(size, trans_b, dtype):
    m, n, _ = size
    a, b = operands(*size, False, trans_b, dtype, integers=True)
    rng = np.random.default_rng(6)
    scale, shift, residual = (rng.integers(-3, 4, s).astype(dtype) for s in ((n,), (n,), (m, n)))
    sums = np.full((2, n), np.nan)
    epilogue = Epilogue(scale, shift, residual, Activation("relu"), sums)
    before = wide(a, b, False, trans_b) * scale + shift
    came = run(a, b, False, trans_b, epilogue)
    np.testing.assert_array_equal(came, np.maximum(before + residual, 0))
    np.testing.assert_array_equal(sums, [before.sum(0), (before**2).sum(0)])
    came = run(a, b, False, trans_b, epilogue._replace(sums=None))
    np.testing.assert_array_equal(came, np.maximum(before + residual, 0))


def test_a_wrong_operand_is_named():
    a, b = operands(4, 5, 6, False, False, np.float32, integers=True)
    with pytest.raises(ValueError, match=r"gemm: b: expected shape \(5, 6\), came \(6, 5\)"):
        run_with_c(a, b, trans_b=True)
    with pytest.raises(DTypeError, match=r"float32 and float64.*int32"):
        run_with_c(a.astype(np.int32), b)


def run_with_c(a, b, trans_b=False):
    workspace = np.empty(cpu.gemm_workspace(4, 5, 6, np.float32), np.uint8)
    cpu.gemm(a, b, np.empty((4, 5), np.float32), False, trans_b, workspace)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (0, 4), (3, 700, 3), (2, 9, 9, 65), (70_000, 2)])
def test_channel_sums(shape, dtype, threads):
    x = np.random.default_rng(8).standard_normal(shape).astype(dtype)
    rows = x.reshape(-1, shape[-1]).astype(np.float64)
    bits = set()
    for n in (1, 2, 3, 7):
        threads(n)
        sums, y = np.full((2, shape[-1]), np.nan), np.full(shape[-1], np.nan, dtype)
        cpu.channel_stats(x, sums)
        cpu.channel_sum(x, y)
        bound = (
            len(rows) * np.finfo(np.float64).eps * np.stack([abs(rows).sum(0), (rows**2).sum(0)])
        )
        assert (np.abs(sums - [rows.sum(0), (rows**2).sum(0)]) <= bound).all()
        np.testing.assert_array_equal(y, sums[0].astype(dtype))
        bits.add(sums.tobytes())
    assert len(bits) == 1
