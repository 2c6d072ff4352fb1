"""What a convolution costs on the CPU by each algorithm: `conv2d_choose` takes the cheapest.

A pure function of the problem, in cycles of one core. It knows what sets the algorithms apart:
lanes and rows of a tile left empty, work per window instead of per value, columns written and read
again. The rates below were fitted to measurements and only their ratios matter, so they serve every
machine.
"""

from math import ceil, gcd
from typing import NamedTuple

from fastconv.backend.problem import Conv2dProblem
from fastconv.backend.winograd import FREQUENCIES, winograd_sizes

VECTOR_BYTES = {"avx512": 64, "avx2": 32, "baseline": 16, "neon": 16}
ROWS = {"avx512": 14, "avx2": 6, "baseline": 4, "neon": 12}  # kMr of csrc/cpu/kernels/simd.h

FMA_PER_CYCLE = 2
BYTES_PER_CYCLE = 8  # of memory, one core's share
TILE = 60  # cycles to begin a tile, to finish and store it
PIXEL = 6  # per pixel and tap of a block: finding the rows
GROUP = 300  # per group, block or chunk: what is set up anew
DIRECT = 0.85  # of the multiply-adds per cycle that depthwise kernels reach on the image itself
FINISH = 3  # cycles per vector of the result: the epilogue, and storing it
PHASE = 5  # the same where a phase of the stride writes every other pixel
STAGED = 0.75  # as DIRECT, on rows that were copied, which costs
STAGE = 5  # cycles per vector of the source
GATHERED = 5  # multiply-adds per cycle where the lanes of a group are gathered one by one
PATCH = 300  # cycles to transform the inputs of a Winograd tile, per vector of channels
OUTPUTS = 300  # the same for its outputs
TAPS = 300  # cycles to transform 3x3 weights of a channel, per vector of filters
SUMS = 150  # cycles to transform the sums of a filter into its taps, per vector of channels
SUMS_ROUND, LONG_ROUND = 4 << 20, 10 << 20  # winograd_wgrad.cpp
OWN_BYTES, ROUND_BYTES, OWN_BLOCKS = 640 << 10, 12 << 20, 16  # winograd_plan.h
ROUND_ROWS, ROUND_TASKS = 4, 4
WINDOW = 70  # cycles to copy the window of one pixel with few channels, for the weight gradient


class Cost(NamedTuple):
    """Cycles of arithmetic with what surrounds it, and cycles of moving bytes; they overlap."""

    arithmetic: float
    memory: float

    @property
    def cycles(self) -> float:
        return max(self.arithmetic, self.memory)

    @property
    def rank(self) -> tuple[float, float]:
        """Where memory is the limit, the one with less to do leaves it more."""
        return self.cycles, self.arithmetic


class Product(NamedTuple):
    """A direction as a matrix product per group: C (m, n) = A (m, k) B (k, n); taps that k or n
    hold, on average."""

    m: int
    n: int
    k: float
    taps: float


def product_of(p: Conv2dProblem, direction: str) -> Product:
    """dgrad: a row sums the taps of its phase of the stride, which may be none."""
    cg, kg = p.c // p.groups, p.k // p.groups
    pixels, taps = p.n * p.p * p.q, p.r * p.s
    if direction == "fwd":
        return Product(pixels, kg, taps * cg, taps)
    if direction == "wgrad":
        return Product(kg, taps * cg, pixels, taps)
    phases = _steps(p.stride[0], p.dilation[0]) * _steps(p.stride[1], p.dilation[1])
    return Product(p.n * p.h * p.w, cg, taps / phases * kg, taps / phases)


def _steps(stride, dilation):
    return stride // gcd(stride, dilation)


def _compulsory(p, itemsize):
    elements = p.n * p.h * p.w * p.c + p.n * p.p * p.q * p.k + p.k * p.r * p.s * p.c // p.groups
    return elements * itemsize / BYTES_PER_CYCLE


def _tiles(p, direction, itemsize, isa):
    """The register tiles of csrc/cpu/kernels/gemm_*.cpp."""
    lanes, rows = VECTOR_BYTES[isa] // itemsize, ROWS[isa]
    m, n, k, taps = product_of(p, direction)
    few = n < taps * lanes  # channels: windows are packed, not the lines of the image
    wgrad = direction == "wgrad"
    vectors = taps * ceil(n / taps / lanes) if wgrad and not few else ceil(n / lanes)
    tiles = ceil(m / rows) * ceil(vectors / 2)
    if wgrad:
        copied = k * (WINDOW if few else vectors)
        around = ceil(k / 384) * (tiles * TILE + GROUP) + copied
    else:
        around = tiles * TILE + ceil(m / rows / 16) * GROUP * ceil(vectors / 2)
    found = 0 if wgrad else m * taps * PIXEL  # once for all groups
    return p.groups * (m * k * vectors / FMA_PER_CYCLE + around) + found


def _depthwise(p, direction, itemsize, isa):
    """Pixels where they lie: csrc/cpu/kernels/depthwise.cpp."""
    lanes = VECTOR_BYTES[isa] // itemsize
    taps = product_of(p, direction).taps
    m = p.n * (p.h * p.w if direction == "dgrad" else p.p * p.q)
    vectors = ceil(p.c / lanes)
    around = FINISH + (PHASE if direction == "dgrad" and max(p.stride) > 1 else 0)
    return m * vectors * (taps / (FMA_PER_CYCLE * DIRECT) + around)


def _staged(p, direction, itemsize, isa):
    """Rows copied for vectors along the channels: csrc/cpu/kernels/lanes*.cpp."""
    lanes = VECTOR_BYTES[isa] // itemsize
    cg, kg = p.c // p.groups, p.k // p.groups
    spread = (cg == 1 and kg == 1) or (cg == kg and lanes % cg == 0)
    filled = p.k / (lanes * ceil(p.k / lanes))
    source = p.n * p.p * p.q * p.k if direction == "dgrad" else p.n * p.h * p.w * p.c
    products = p.macs / filled / (FMA_PER_CYCLE * lanes * STAGED if spread else GATHERED)
    return products + source / lanes * STAGE


def _winograd_blocks(tiles, channels, panels, itemsize, isa):
    """How often all of the transformed weights are read: csrc/cpu/kernels/winograd_plan.h."""
    rows, inputs = ROWS[isa], FREQUENCIES * channels * itemsize
    own = OWN_BYTES // (inputs + FREQUENCIES * 2 * VECTOR_BYTES[isa]) // rows * rows
    if own >= 2 * rows and tiles >= OWN_BLOCKS * own:
        return ceil(tiles / own)
    together = ceil(tiles / ceil(tiles / max(ROUND_BYTES // max(inputs, 1), rows)))
    block = min(together, ROUND_ROWS * rows)
    while block > rows and panels * ceil(together / block) < ROUND_TASKS:
        block = ceil(block / 2)
    return ceil(tiles / block)


def _winograd(p, direction, itemsize, isa, packed):
    """csrc/cpu/kernels/winograd.cpp"""
    if direction == "wgrad":
        return _winograd_wgrad(p, itemsize, isa)
    lanes, rows = VECTOR_BYTES[isa] // itemsize, ROWS[isa]
    tiles, channels, columns = winograd_sizes(p, direction)
    if not tiles:
        return 0
    inputs, vectors = ceil(channels / lanes), ceil(columns / lanes)
    panels = ceil(vectors / 2)
    blocks = _winograd_blocks(tiles, inputs * lanes, panels, itemsize, isa)
    products = FREQUENCIES * tiles * channels * vectors / FMA_PER_CYCLE
    products += FREQUENCIES * max(blocks, ceil(tiles / rows)) * panels * TILE
    transforms = tiles * (inputs * PATCH + vectors * OUTPUTS)
    weights = 0 if packed else channels * vectors * TAPS
    read = blocks * FREQUENCIES * channels * vectors * lanes * itemsize / BYTES_PER_CYCLE
    return products + transforms + weights + read


def _winograd_wgrad(p, itemsize, isa):
    """csrc/cpu/kernels/winograd_wgrad.cpp"""
    lanes, rows = VECTOR_BYTES[isa] // itemsize, ROWS[isa]
    tiles, channels, filters = winograd_sizes(p, "wgrad")
    inputs, vectors = ceil(channels / lanes), ceil(filters / lanes)
    panels, row_tiles = ceil(inputs / 2), ceil(filters / rows)
    of_inputs, of_gradients = (
        FREQUENCIES * tiles * n * lanes * itemsize for n in (inputs, vectors)
    )
    sums = FREQUENCIES * panels * 2 * lanes * row_tiles * rows * itemsize
    rounds = ceil((of_inputs + of_gradients) / (SUMS_ROUND if sums <= SUMS_ROUND else LONG_ROUND))
    products = FREQUENCIES * tiles * filters * inputs / FMA_PER_CYCLE
    products += FREQUENCIES * rounds * row_tiles * panels * TILE
    transforms = tiles * (inputs * PATCH + vectors * OUTPUTS) + filters * inputs * SUMS
    moved = 2 * of_inputs + (2 + panels) * of_gradients + 2 * (rounds - 1) * sums
    return products + transforms + moved / BYTES_PER_CYCLE


def cost(
    p: Conv2dProblem, direction: str, algorithm: str, itemsize: int, isa: str, packed: bool = False
) -> Cost:
    """Of one pass. algorithm: a name of cpu.conv2d_algorithms; packed: w was packed before."""
    memory = _compulsory(p, itemsize)
    if algorithm == "direct_depthwise":
        return Cost(_depthwise(p, direction, itemsize, isa), memory)
    if algorithm.startswith("staged"):
        return Cost(_staged(p, direction, itemsize, isa), memory)
    if algorithm == "winograd":
        return Cost(_winograd(p, direction, itemsize, isa, packed), memory)
    arithmetic = _tiles(p, direction, itemsize, isa)
    if algorithm == "im2col":
        windows = product_of(p, "fwd" if direction == "wgrad" else direction)
        memory += 2 * p.groups * windows.m * windows.k * itemsize / BYTES_PER_CYCLE
        arithmetic += p.groups * windows.m * windows.taps * PIXEL
    elif algorithm == "1x1":
        arithmetic -= 0 if direction == "wgrad" else p.n * p.p * p.q * PIXEL
    return Cost(arithmetic, memory)
