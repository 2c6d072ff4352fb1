"""Philox4x32-10, the one random generator of all backends.

Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". Element i of stream
(seed, offset) is word i % 4 of the block with counter (lo = i // 4, hi = offset) and key seed: 64
bits each, low 32 bits first. uniform = (word >> 8) * 2^-24 lies in [0, 1).

One round, on the counter (c0, c1, c2, c3) with the key (k0, k1):
    (c0, c1, c2, c3) <- (hi(M1*c2) ^ c1 ^ k0, lo(M1*c2), hi(M0*c0) ^ c3 ^ k1, lo(M0*c0))
    (k0, k1) <- (k0 + W0, k1 + W1)
"""

import numpy

__all__ = ["normal", "philox4x32", "uniform"]

ROUNDS = 10
M0, M1 = 0xD2511F53, 0xCD9E8D57  # the multipliers of the paper, table 2
W0, W1 = 0x9E3779B9, 0xBB67AE85  # golden ratio and sqrt(3) - 1, as Weyl sequences for the key
LOW32 = 0xFFFFFFFF
LOW64 = 0xFFFFFFFFFFFFFFFF
CHUNK_BLOCKS = 1 << 15  # counters handled at once: the eleven temporaries stay in the cache


def philox4x32(counter_lo, counter_hi, seed, xp=numpy):
    """Blocks of four random words.

    counter_lo: (n,) uint64 array of xp. counter_hi, seed: integers, taken modulo 2^64.
    Returns (n, 4) uint32.
    """
    low32, shift = xp.uint64(LOW32), xp.uint64(32)
    hi, seed = int(counter_hi) & LOW64, int(seed) & LOW64
    c0, c1 = counter_lo & low32, counter_lo >> shift
    c2, c3 = xp.full_like(c0, hi & LOW32), xp.full_like(c0, hi >> 32)
    k0, k1 = seed & LOW32, seed >> 32
    for _ in range(ROUNDS):
        product0, product1 = c0 * xp.uint64(M0), c2 * xp.uint64(M1)  # 32 x 32 -> 64 bits
        c0 = (product1 >> shift) ^ c1 ^ xp.uint64(k0)
        c2 = (product0 >> shift) ^ c3 ^ xp.uint64(k1)
        c1, c3 = product1 & low32, product0 & low32
        k0, k1 = (k0 + W0) & LOW32, (k1 + W1) & LOW32
    words = xp.empty((*c0.shape, 4), xp.uint32)
    for i, word in enumerate((c0, c1, c2, c3)):
        words[..., i] = word
    return words


def _words(seed, offset, n, xp, start):
    """Yields (position, words): uint32 elements start .. start+n-1 of the stream, in chunks."""
    done = 0
    while done < n:
        block, skip = divmod(start + done, 4)
        blocks = min(CHUNK_BLOCKS, -(-(skip + n - done) // 4))
        counter = xp.arange(block, block + blocks, dtype=xp.uint64)
        words = philox4x32(counter, offset, seed, xp).reshape(4 * blocks)[skip : skip + n - done]
        yield done, words
        done += len(words)


def uniform(seed, offset, n, xp=numpy, start=0):
    """(n,) float32 in [0, 1): elements start .. start+n-1 of stream (seed, offset)."""
    u = xp.empty(n, xp.float32)
    for i, words in _words(seed, offset, n, xp, start):
        xp.multiply(words >> xp.uint32(8), xp.float32(2.0**-24), out=u[i : i + len(words)])
    return u


def normal(seed, offset, n):
    """(n,) float64 NumPy array of standard normal values: Box and Muller 1958, from word pairs.

    With words a, b at positions 2j, 2j+1, u = (a + 1) * 2^-32 in (0, 1] and v = b * 2^-32:
    z[2j] = sqrt(-2 ln u) cos(2 pi v), z[2j+1] = sqrt(-2 ln u) sin(2 pi v).
    """
    z = numpy.empty(n + n % 2, numpy.float64)
    for i, words in _words(seed, offset, len(z), numpy, 0):
        a, b = words[0::2].astype(numpy.float64), words[1::2].astype(numpy.float64)
        radius = numpy.sqrt(-2.0 * numpy.log((a + 1.0) * 2.0**-32))
        angle = 2.0 * numpy.pi * 2.0**-32 * b
        z[i : i + len(words) : 2] = radius * numpy.cos(angle)
        z[i + 1 : i + len(words) : 2] = radius * numpy.sin(angle)
    return z[:n]
