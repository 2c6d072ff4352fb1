// How the gradient by w is cut: its sum runs over all pixels.
//
// A block owns some of the results, several times over (strips), and one part of the pixels
// (a split); its strips take the pixels of the part in turn. Strips are summed in shared memory,
// splits through the workspace, (splits, R*S, C). The number of splits depends on the problem
// alone, so the order of every sum does.
#pragma once

#include <algorithm>

#include "cuda/depthwise/tiles.h"
#include "cuda/device/launch.h"

namespace fc::cuda {

constexpr int64_t kWgradBlocks = 1024;  // about; enough for the largest GPUs

struct Strips {
  int strips;      // of a block
  int64_t splits;  // of the patches
  int64_t each;    // patches of a split

  // patches: groups of pixels, of which a strip should have at least `enough`; blocks: those that
  // a split needs for all results
  Strips(int strips, int64_t patches, int64_t blocks, int64_t enough) : strips(strips) {
    check_count(patches);
    const int64_t most = ceil_div(patches, strips * enough);
    splits = std::min(most, std::max(int64_t{1}, kWgradBlocks / blocks));
    each = ceil_div(patches, splits);
    splits = ceil_div(patches, each);
  }
};

// Every thread has left its sums in shared memory (strips, count); the block's results go to
// to[place(j)], j < count, where that is not negative.
template <class Place>
FC_DEVICE void sum_strips(int strips, int count, float* to, Place place) {
  const float* shared = shared_memory<float>();
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < count; j += kBlock) {
    float sum = shared[j];
    for (int i = 1; i < strips; ++i) sum += shared[i * count + j];
    const int64_t at = place(j);
    if (at >= 0) to[at] = sum;
  }
}

}  // namespace fc::cuda
