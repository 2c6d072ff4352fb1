"""The kernel table on CUDA devices: thin wrappers of an extension module over an array module.

fastconv._cuda over CuPy is the GPU; fastconv._emulator over NumPy runs the same kernels, compiled
for the CPU and watched access by access (csrc/emulator/). Semantics and signatures are those of
reference.py. Kernels run on the caller's current stream; what they need beside their arguments is
allocated here, from CuPy's pool. float32 only.
"""

import functools

import numpy as np

from fastconv.backend.candidate import Candidate
from fastconv.backend.cuda_cost import cycles, winograd_pays
from fastconv.backend.cuda_layers import DeviceLayers
from fastconv.backend.problem import NO_EPILOGUE
from fastconv.backend.winograd import winograd_fits, winograd_refused
from fastconv.errors import AlgorithmError

__all__ = ["DeviceTable"]


def _is_depthwise(p):
    return p.groups == p.c == p.k and p.groups > 1


def _is_matrix_product(p):
    return (p.r, p.s, p.groups) == (1, 1, 1) and p.stride == (1, 1) and not any(p.pad)


def _has_small_groups(p):
    few = all(n // p.groups in range(4, 33, 4) for n in (p.c, p.k))
    window = (p.r, p.s) == (3, 3) and p.stride in ((1, 1), (2, 2)) and p.dilation == (1, 1)
    return p.groups > 1 and few and window


def _is_stem(p):
    few = p.groups == 1 and 1 <= p.c <= 4 and p.dilation == (1, 1)
    return few and max(p.r, p.s) <= 11 and max(p.stride) <= 4


@functools.cache
def _algorithms(problem, direction):
    """Those that fit, the best of the precision "ieee" first."""
    fits = []
    if _is_depthwise(problem):
        fits.append("depthwise")
    if _has_small_groups(problem):
        fits.append("grouped")
    if _is_matrix_product(problem):
        fits.append("1x1")
    if direction != "dgrad" and _is_stem(problem):
        fits.append("stem")
    fits += ["implicit", "im2col"]
    if direction != "wgrad" and winograd_fits(problem):
        fits.append("winograd")
    return tuple(fits)


@functools.cache
def _chosen(problem, direction, dtype, precision):
    fits = _algorithms(problem, direction)
    if "winograd" in fits and not _refused("winograd", problem, direction, dtype, precision):
        return "winograd"
    return fits[0]


def _refused(name, problem, direction, dtype, precision):
    if name != "winograd":
        return ""
    reason = winograd_refused(problem, direction, dtype, precision)
    if reason or winograd_pays(problem, direction):
        return reason
    return "it does not win by the margin that an estimate needs"


class DeviceTable(DeviceLayers):
    """One extension module over one array module."""

    def empty(self, shape, dtype, xp=None):
        """Uninitialised contiguous array of the array module."""
        return self.xp.empty(shape, dtype)

    def set_writeable(self, a, writeable):
        """Lock an array that empty() made, or unlock it. CuPy has no locks."""
        if self.xp is np:
            a.flags.writeable = writeable

    # ---- convolution

    def conv2d_algorithms(self, problem, direction, dtype):
        """Names of the algorithms that fit, the best of the precision "ieee" first.

        "1x1": a plain matrix product; "implicit": tiles of a matrix product that read the image
        where it lies; "im2col": the same on columns in the workspace; "depthwise": a channel per
        group, vectors along the channels; "grouped": 3x3 with up to 32 channels per group;
        "stem": few input channels, as of a first layer, the windows of neighbouring pixels read
        from one patch; "winograd": F(4x4, 3x3), forward and gradient by x, a quarter of the
        multiplications, larger rounding errors (2.4e-5 x rms(y) of 512 channels), and an infinity
        or NaN makes its whole tile NaN.
        """
        return _algorithms(problem, direction)

    def conv2d_choose(self, problem, direction, dtype, precision, packed=False):
        """The best that fits. All but "winograd" have the precision of "ieee"."""
        return _chosen(problem, direction, np.dtype(dtype), precision)

    def conv2d_candidates(self, problem, direction, dtype, precision, packed=False):
        """What conv2d_choose chooses from, the best of the precision "ieee" first."""
        fits = _algorithms(problem, direction)
        told = cycles(problem, direction) if "winograd" in fits else {}
        return tuple(
            Candidate(
                name,
                told.get(name),
                refused=_refused(name, problem, direction, dtype, precision),
            )
            for name in fits
        )

    def conv2d_workspace(self, problem, direction, algorithm, dtype, packed=False):
        """Bytes of scratch memory."""
        self._check_dtype("conv2d", dtype)
        fits = _algorithms(problem, direction)
        if algorithm not in fits:
            raise AlgorithmError(
                f"conv2d {direction}: algorithm {algorithm!r} does not fit {problem}; these do: "
                f"{', '.join(fits)}"
            )
        return self.extension.conv2d_workspace(problem, direction, algorithm)

    def conv2d_packed_elements(self, problem, algorithm, dtype):
        """0: kernels read weights as they are."""
        return 0

    def conv2d_pack(self, w, problem, algorithm, packed):
        raise AlgorithmError(f"conv2d_pack: {algorithm!r} on {self.NAME} reads weights as they are")

    def conv2d_fwd(
        self, x, w, y, problem, algorithm, workspace, epilogue=NO_EPILOGUE, prologue=None,
        packed=None,
    ):  # fmt: skip
        self._check("conv2d_fwd", x)
        self.extension.conv2d_fwd(
            x, w, y, problem, algorithm, workspace, epilogue, prologue, self._stream()
        )

    def conv2d_dgrad(self, gy, w, gx, problem, algorithm, workspace):
        self._check("conv2d_dgrad", gy)
        self.extension.conv2d_dgrad(gy, w, gx, problem, algorithm, workspace, self._stream())

    def conv2d_wgrad(self, x, gy, gw, problem, algorithm, workspace, prologue=None):
        self._check("conv2d_wgrad", x)
        self.extension.conv2d_wgrad(
            x, gy, gw, problem, algorithm, workspace, prologue, self._stream()
        )

    # ---- matrix product

    def gemm_workspace(self, m, n, k, dtype):
        self._check_dtype("gemm", dtype)
        return self.extension.gemm_workspace(m, n, k)

    def gemm(self, a, b, c, trans_a, trans_b, workspace, epilogue=NO_EPILOGUE):
        self._check("gemm", a)
        self.extension.gemm(
            a, b, c, bool(trans_a), bool(trans_b), workspace, epilogue, self._stream()
        )
