"""Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), the one generator.

Element i of stream (seed, offset) is word i % 4 of the block with counter (lo = i // 4, hi = offset) and key
seed: 64 bits each, low 32 bits first. uniform = (word >> 8) * 2^-24 lies in [0, 1).
"""
