// Which kernel computes the gradient by w, and what it keeps in the workspace.
#pragma once

#include "cuda/depthwise/any_wgrad.h"
#include "cuda/depthwise/choose.h"
#include "cuda/depthwise/fixed_wgrad.h"
#include "cuda/gemm/sum_rows.h"

namespace fc::cuda {

struct WgradWorkspace {
  static constexpr int64_t kAlign = 16;

  float* partial;  // (splits, R*S, C)
  void* scratch;
  int64_t bytes;

  WgradWorkspace(const Conv2dProblem& p, int64_t splits, void* base) {
    const int64_t results = p.r * p.s * p.c;
    const int64_t sums = ceil_div(splits * results * int64_t{sizeof(float)}, kAlign) * kAlign;
    partial = static_cast<float*>(base);
    scratch = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(base) + sums);
    bytes = sums + sum_rows_workspace(splits, results);
  }
};

// Calls f with the window that fits and the channels of a vector; a FixedWgrad only where vectors
// fit.
template <class F>
void with_wgrad_window(const Conv2dProblem& p, bool vectors, F f) {
  const ChannelsOfVector<kChannels> vector;
  switch (vectors ? fixed_window(p) : 0) {
    case 31:
      return f(FixedWgrad<3, 1>{}, vector);
    case 32:
      return f(FixedWgrad<3, 2>{}, vector);
    case 51:
      return f(FixedWgrad<5, 1>{}, vector);
    case 52:
      return f(FixedWgrad<5, 2>{}, vector);
    case 71:
      return f(FixedWgrad<7, 1>{}, vector);
    case 72:
      return f(FixedWgrad<7, 2>{}, vector);
  }
  if (vectors) return f(AnyWgrad{}, vector);
  f(AnyWgrad{}, ChannelsOfVector<1>{});
}

}  // namespace fc::cuda
