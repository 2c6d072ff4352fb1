// Philox4x32-10, the one random generator of all backends: fastconv/backend/philox.py is the
// definition. Element i of the stream (seed, offset) is word i % 4 of the block with counter i / 4.
//
// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
#pragma once

#include <cstdint>

#include "cuda/device/vector.h"

namespace fc::cuda {

// The four words of one counter.
FC_DEVICE Vec<uint32_t, 4> philox(uint64_t counter, uint64_t seed, uint64_t offset) {
  constexpr uint32_t kM0 = 0xD2511F53u, kM1 = 0xCD9E8D57u;  // multipliers, table 2 of the paper
  constexpr uint32_t kW0 = 0x9E3779B9u, kW1 = 0xBB67AE85u;  // key increments
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
  const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
  uint32_t c0 = low(counter), c1 = high(counter), c2 = low(offset), c3 = high(offset);
  uint32_t k0 = low(seed), k1 = high(seed);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kM0} * c0, p1 = uint64_t{kM1} * c2;
    c0 = high(p1) ^ c1 ^ k0;
    c1 = low(p1);
    c2 = high(p0) ^ c3 ^ k1;
    c3 = low(p0);
    k0 += kW0;
    k1 += kW1;
  }
  return {{c0, c1, c2, c3}};
}

// v[i] for an i that is not known when compiling: an index would move v from registers to memory.
FC_DEVICE uint32_t pick(const Vec<uint32_t, 4>& v, int i) {
  const uint32_t even = i & 2 ? v[2] : v[0], odd = i & 2 ? v[3] : v[1];
  return i & 1 ? odd : even;
}

}  // namespace fc::cuda
