// Per-channel sums of a result that was computed in blocks.
#pragma once

#include "cpu/kernels/pack.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// sums (count,) = the blocks' parts (blocks, count), in order
inline void combine_block_sums(const double* parts, int64_t blocks, int64_t count, double* sums) {
  parallel(count, grain_for(blocks), [&](int64_t begin, int64_t end, int) {
    zero(sums + begin, end - begin);
    for (int64_t block = 0; block < blocks; ++block) {
      const double* part = parts + block * count;
      for (int64_t i = begin; i < end; ++i) sums[i] += part[i];
    }
  });
}

}  // namespace
}  // namespace fc::FC_ISA
