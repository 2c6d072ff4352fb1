"""Whether Winograd's F(4x4, 3x3) is faster on a GPU than implicit GEMM: `conv2d_choose` asks.

A model, from sizes alone, of the kernels in csrc/cuda/winograd and csrc/cuda/gemm on a GPU of 132
multiprocessors, in clock cycles. Nothing of it was measured on a GPU: the shares of the peak are
estimates from instruction counts, and Winograd must win by MARGIN.
"""

from math import ceil

from fastconv.backend.winograd import FREQUENCIES, winograd_sizes

__all__ = ["WINOGRAD_BLOCK", "cycles", "winograd_pays"]

SMS = 132  # multiprocessors of an H100 or H200
LANES = 128  # multiply-adds of one, per cycle
BYTES = 2400  # of memory per cycle: 4.3 TB/s at 1.8 GHz
FLOAT = 4

# of LANES, in the main loop. Winograd: for eight channels sm_80's code is 1,874 instructions a
# warp, of which 1,152 (61 %) are multiply-adds of the product; one block per multiprocessor hides
# less of what it waits for than two.
IMPLICIT_RATE = 0.75
WINOGRAD_RATE = 0.5
LAUNCH = 5000  # of the kernel that transforms the weights, with what it waits for
OUTPUT = 5000  # of a block: four pieces through shared memory, 36 values to 16 outputs
MARGIN = 1.25

WINOGRAD_BLOCK = (32, 32, 8)  # tiles, columns, channels that a block takes at a time


def _winograd_cycles(p, direction):
    tiles, depth, columns = winograd_sizes(p, direction)
    block_tiles, block_columns, step = WINOGRAD_BLOCK
    column_blocks, depth = ceil(columns / block_columns), ceil(depth / step) * step
    # one block per multiprocessor: the last wave costs as much as a full one
    waves = ceil(ceil(tiles / block_tiles) * column_blocks / SMS)
    macs = FREQUENCIES * block_tiles * block_columns * depth
    weights = column_blocks * block_columns * depth
    # written, and read from memory at least once
    moved = FLOAT * (weights * (9 + 2 * FREQUENCIES) + _image_elements(p))
    compute = waves * (macs / (LANES * WINOGRAD_RATE) + OUTPUT)
    return LAUNCH + max(compute, moved / BYTES)


def _implicit_cycles(p, direction):
    """Tiles as ProductPlan (csrc/cuda/gemm/product.h) chooses them; splits fill the device."""
    rows, depth, columns = (
        (p.n * p.p * p.q, 9 * p.c, p.k) if direction == "fwd" else (p.n * p.h * p.w, 9 * p.k, p.c)
    )

    def blocks(m, n):
        return ceil(rows / m) * ceil(columns / n)

    m, n = 64, 64
    if columns > 64 and blocks(128, 128) >= SMS:
        m, n = 128, 128
    elif blocks(128, 64) >= SMS:
        m, n = 128, 64
    there = blocks(m, n)
    waves = ceil(there / SMS) if there >= SMS or direction == "dgrad" else there / SMS
    moved = FLOAT * (9 * p.c * p.k + _image_elements(p))
    return max(waves * m * n * depth / (LANES * IMPLICIT_RATE), moved / BYTES)


def _image_elements(p):
    return p.n * (p.h * p.w * p.c + p.p * p.q * p.k)


def winograd_pays(p, direction):
    """Of a problem that fits: 4 times fewer multiplications, less what tiles beyond the image's
    edge, channels and columns beyond the last, idle multiprocessors, both transforms and the
    transformed weights (4 times as large) cost."""
    if 0 in (*winograd_sizes(p, direction), p.p, p.q):
        return False
    costs = cycles(p, direction)
    return MARGIN * costs["winograd"] < costs["implicit"]


def cycles(p, direction):
    """{algorithm: cycles} of the two that the model knows, for a problem that winograd fits."""
    return {"winograd": _winograd_cycles(p, direction), "implicit": _implicit_cycles(p, direction)}
