// Any window, stride and dilation: what one thread adds up for one pixel. The formulas are those of
// fixed_window.h; weights come transposed, (R*S, C), from the workspace, so that neighbouring
// threads read neighbours.
#pragma once

#include "cuda/depthwise/image.h"
#include "cuda/depthwise/tiles.h"
#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

// The input row or column that a tap of this output reads, or -1.
template <bool kBackward>
FC_DEVICE int input_place(int out, int tap, int size, int pad, int stride, int dilation,
                          const Divider& by_stride) {
  int in, rest = 0;
  if constexpr (kBackward) {
    const int from = out + pad - tap * dilation;
    if (from < 0) return -1;
    by_stride.split(from, in, rest);
  } else {
    in = out * stride - pad + tap * dilation;
  }
  return in >= 0 && in < size && rest == 0 ? in : -1;
}

template <bool kIsBackward>
struct AnyWindow {
  static constexpr bool kBackward = kIsBackward;
  static constexpr int kColumns = 1, kInputs = 1;

  static int shift(const Conv2dProblem&) { return 0; }
  template <int N>
  static __host__ __device__ size_t shared_bytes(const Tiles&) {
    return 0;
  }

  template <int N, class T>
  static FC_DEVICE void prepare(const Tiles&, const T*) {}

  template <int N, class T, class LoadRow>
  static FC_DEVICE void accumulate(const Image& image, const Tiles&, const Patch& patch,
                                   const T* taps, LoadRow load_row, Vec<float, N> (&acc)[1]) {
    for (int r = 0; r < image.r; ++r) {
      const int row = input_place<kBackward>(patch.row, r, image.in_h, image.pad_top,
                                             image.stride_h, image.dilation_h, image.by_stride_h);
      if (row < 0) continue;
      for (int s = 0; s < image.s; ++s) {
        const int column =
            input_place<kBackward>(patch.column, s, image.in_w, image.pad_left, image.stride_w,
                                   image.dilation_w, image.by_stride_w);
        if (column < 0) continue;
        Vec<float, N> in[1];
        load_row(patch, row, column, in);
        const Vec<float, N> weight =
            widen(load<N>(taps + int64_t{r * image.s + s} * image.c + patch.channel));
#pragma unroll
        for (int c = 0; c < N; ++c) acc[0][c] += in[0][c] * weight[c];
      }
    }
  }
};

}  // namespace fc::cuda
