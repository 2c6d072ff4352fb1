"""The kernel table on the CPU: thin wrappers of fastconv._cpu, float32 and float64.

Semantics and signatures are those of reference.py. Results do not depend on the number of threads.
"""

import functools

import numpy as np

from fastconv import _cpu
from fastconv.backend.candidate import Candidate
from fastconv.backend.cpu_check import check_float as _check
from fastconv.backend.cpu_check import check_float_dtype
from fastconv.backend.cpu_cost import cost
from fastconv.backend.cpu_layers import *  # noqa: F403
from fastconv.backend.problem import NO_EPILOGUE
from fastconv.backend.tuned import measured
from fastconv.backend.winograd import winograd_fits, winograd_refused
from fastconv.errors import AlgorithmError

NAME = "cpu"

# pure functions of a problem; a program that never sees a shape twice must not grow
_remembered = functools.lru_cache(maxsize=10_000)


def _itemsize(function, dtype):
    dtype = np.dtype(dtype)
    check_float_dtype(function, dtype)
    return dtype.itemsize


# ---- memory and threads

reset_peak_memory = _cpu.reset_peak_memory
empty_cache = _cpu.empty_cache
memory_stats = _cpu.memory_stats  # dict: live_bytes, peak_bytes, cached_bytes, allocations
set_num_threads = _cpu.set_num_threads
num_threads = _cpu.num_threads
set_writeable = _cpu.set_writeable
isas = _cpu.isas  # those that this machine runs, the best one last
isa = _cpu.isa  # "baseline", "avx2" or "avx512"; "neon" on aarch64


def empty(shape, dtype, xp=np):
    """Uninitialised contiguous array, 64-byte aligned, from the caching pool."""
    return _cpu.empty(shape, dtype)


# ---- convolution


def _is_depthwise(p):
    return p.groups == p.c and p.groups > 1


def _is_grouped(p):
    return p.groups > 1 and max(p.c, p.k) <= 8 * p.groups


def _is_matrix_product(p):
    return (p.r, p.s, p.groups) == (1, 1, 1) and p.stride == (1, 1) and not any(p.pad)


@_remembered
def conv2d_algorithms(problem, direction, dtype, packed=False):
    """Names of the algorithms that fit, the cheapest by cpu_cost.py first.

    "1x1": a plain matrix product; "implicit": tiles of a matrix product that read the image where
    it lies; "im2col": the same on columns in the workspace; "direct_depthwise": pixels where they
    lie, channel by channel; "staged_depthwise", "staged_grouped": rows copied first, for vectors
    along the channels; "winograd": F(4x4, 3x3), a quarter of the multiplications, larger rounding
    errors (2.4e-5 x rms(y) of 512 channels), and an infinity or NaN makes its whole tile NaN.
    packed: a packed copy of w is kept.
    """
    fits = (*_special(problem, direction), "implicit", "im2col")
    itemsize = np.dtype(dtype).itemsize
    return tuple(
        sorted(fits, key=lambda name: cost(problem, direction, name, itemsize, isa(), packed).rank)
    )


def _special(problem, direction):
    if _is_matrix_product(problem):
        return ("1x1",)
    if _is_depthwise(problem):
        direct = problem.k == problem.c
        return ("direct_depthwise", "staged_depthwise") if direct else ("staged_depthwise",)
    if winograd_fits(problem):
        return ("winograd",)
    return ("staged_grouped",) if _is_grouped(problem) else ()


@_remembered
def conv2d_choose(problem, direction, dtype, precision, packed=False):
    """The fastest one if they were measured (tuned.py), else the cheapest that fits. All but
    "winograd" have the precision of "ieee"."""
    fits = conv2d_algorithms(problem, direction, dtype, packed)
    if found := measured(isa(), problem, direction, dtype, packed):
        fits = (found[0].fastest, *fits)
    return next(name for name in fits if not _refused(name, problem, direction, dtype, precision))


def _refused(name, *choice):
    return winograd_refused(*choice) if name == "winograd" else ""


def conv2d_candidates(problem, direction, dtype, precision, packed=False):
    """What conv2d_choose chooses from, the cheapest first."""
    itemsize, candidates = np.dtype(dtype).itemsize, []
    found = measured(isa(), problem, direction, dtype, packed)
    seconds, where = (found[0].seconds, found[1]) if found else ({}, "")
    for name in conv2d_algorithms(problem, direction, dtype, packed):
        told = cost(problem, direction, name, itemsize, isa(), packed)
        refused = _refused(name, problem, direction, dtype, precision)
        here = where if name in seconds else ""
        candidates.append(Candidate(name, told.cycles, *told, refused, seconds.get(name), here))
    return tuple(candidates)


def conv2d_workspace(problem, direction, algorithm, dtype, packed=False):
    """Bytes of scratch memory; grows with the number of threads (the result does not)."""
    return _workspace(problem, direction, algorithm, dtype, packed, num_threads())


@_remembered
def _workspace(problem, direction, algorithm, dtype, packed, threads):
    if algorithm not in conv2d_algorithms(problem, direction, dtype):
        raise AlgorithmError(
            f"conv2d {direction}: algorithm {algorithm!r} does not fit {problem}; these do: "
            f"{', '.join(conv2d_algorithms(problem, direction, dtype))}"
        )
    return _cpu.conv2d_workspace(problem, direction, algorithm, _itemsize("conv2d", dtype), packed)


@_remembered
def conv2d_packed_elements(problem, algorithm, dtype):
    return _cpu.conv2d_packed_elements(problem, algorithm, _itemsize("conv2d", dtype))


def conv2d_pack(w, problem, algorithm, packed):
    _check("conv2d_pack", w)
    _cpu.conv2d_pack(w, problem, algorithm, packed)


def conv2d_fwd(
    x, w, y, problem, algorithm, workspace, epilogue=NO_EPILOGUE, prologue=None, packed=None
):
    _check("conv2d_fwd", x)
    _cpu.conv2d_fwd(x, w, y, problem, algorithm, workspace, epilogue, prologue, packed)


def conv2d_dgrad(gy, w, gx, problem, algorithm, workspace):
    _check("conv2d_dgrad", gy)
    _cpu.conv2d_dgrad(gy, w, gx, problem, algorithm, workspace)


def conv2d_wgrad(x, gy, gw, problem, algorithm, workspace, prologue=None):
    _check("conv2d_wgrad", x)
    _cpu.conv2d_wgrad(x, gy, gw, problem, algorithm, workspace, prologue)


# ---- matrix product


def gemm_workspace(m, n, k, dtype):
    return _cpu.gemm_workspace(m, n, k, _itemsize("gemm", dtype))


def gemm(a, b, c, trans_a, trans_b, workspace, epilogue=NO_EPILOGUE):
    _check("gemm", a)
    _cpu.gemm(a, b, c, trans_a, trans_b, workspace, epilogue)


# ---- per-channel reductions


def channel_sum(x, y):
    _check("channel_sum", x)
    _cpu.channel_sum(x, y)


def channel_stats(x, sums):
    _check("channel_stats", x)
    _cpu.channel_stats(x, sums)
