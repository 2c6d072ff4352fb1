// What the kernels that write an image keep in the workspace.
#pragma once

#include "cuda/depthwise/image_kernel.h"
#include "cuda/depthwise/transpose_taps.h"
#include "cuda/gemm/sum_rows.h"

namespace fc::cuda {

// The weights transposed for AnyWindow, partial sums, and the scratch memory of their sum.
template <class Window, int N, class T>
struct ImageWorkspace {
  static constexpr bool kTransposes = std::is_same_v<Window, AnyWindow<Window::kBackward>>;
  static constexpr int64_t kAlign = 16;

  T* taps = nullptr;          // (R,S,C)
  double* partial = nullptr;  // (blocks, 2, C)
  void* scratch = nullptr;
  int64_t blocks = 0, bytes = 0;

  ImageWorkspace(const Conv2dProblem& p, void* base, bool sums) {
    const auto take = [&](int64_t size) {
      void* at = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(base) + bytes);
      bytes += ceil_div(size, kAlign) * kAlign;
      return at;
    };
    if (kTransposes) taps = static_cast<T*>(take(p.r * p.s * p.c * sizeof(T)));
    if (!sums) return;
    blocks = image_tiles<Window, N>(p, sums).grid(N).x;
    partial = static_cast<double*>(take(blocks * 2 * p.c * sizeof(double)));
    scratch = take(sum_rows_workspace(blocks, 2 * p.c));
  }

  // What the kernel reads: w itself, or its transpose.
  const T* weights(const Conv2dProblem& p, const T* w, Stream stream) const {
    if (!kTransposes) return w;
    transpose_taps(w, p.c, p.r * p.s, taps, stream);
    return taps;
  }
};

}  // namespace fc::cuda
