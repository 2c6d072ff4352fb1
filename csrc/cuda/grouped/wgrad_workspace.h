// What the gradient by w keeps in the workspace.
#pragma once

#include "cuda/gemm/sum_rows.h"
#include "cuda/grouped/wgrad_kernel.h"

namespace fc::cuda {

struct GroupedWgradWorkspace {
  float* partial;  // (splits, K, 3, 3, C/groups)
  void* scratch;
  int64_t bytes;

  GroupedWgradWorkspace(const GroupedWgradTiles& tiles, void* base) {
    // a multiple of 16, as results are of four
    const int64_t size = tiles.strips.splits * tiles.results() * int64_t{sizeof(float)};
    partial = static_cast<float*>(base);
    scratch = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(base) + size);
    bytes = size + sum_rows_workspace(tiles.strips.splits, tiles.results());
  }
};

// Calls f with the window that fits.
template <class F>
void with_grouped_wgrad(const Conv2dProblem& p, F f) {
  if (p.stride_h == 1) return f(GroupedWgrad<1>{});
  f(GroupedWgrad<2>{});
}

}  // namespace fc::cuda
