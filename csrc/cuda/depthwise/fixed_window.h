// kSize x kSize windows of dilation 1 and stride kStep (1 or 2), taps unrolled: what one thread
// adds up for the kColumns pixels of its patch.
//
//   forward   out[p, q] += in[p*step + r - pad_top, q*step + s - pad_left] * w[r, s]
//   backward  out[h, w] += in[(h + pad_top - r) / step, (w + pad_left - s) / step] * w[r, s]
//             over the r and s that divide without a rest: known at compile time along a row, since
//             patches begin where w + pad_left is a multiple of the step
//
// A row of the input is in registers once and serves all pixels and taps that it meets. Weights are
// transposed into shared memory once per block; a thread holds one row of the window at a time.
#pragma once

#include "cuda/depthwise/image.h"
#include "cuda/depthwise/tiles.h"
#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

template <int kSize, int kStep, bool kIsBackward>
struct FixedWindow {
  static constexpr bool kBackward = kIsBackward;
  static constexpr int kTaps = kSize * kSize;
  static constexpr int kColumns = 4;
  static constexpr int kInputs =
      kBackward ? (kColumns - 1) / kStep + (kSize - 1) / kStep + 1 : (kColumns - 1) * kStep + kSize;
  static constexpr int kUnrolledRows = kSize == 3 && !(kBackward && kStep == 2) ? kSize : 1;

  // inputs in registers at once; more do not fit beside the weights and sums
  static constexpr int kInputsAtOnce = kInputs > 6 ? ceil_div(kInputs, 4) : kInputs;

  // The tap through which pixel i reads input j of the row; -1: it does not read it.
  static constexpr int tap_of(int i, int j) {
    const int s = kBackward ? i + ((kSize - 1) / kStep - j) * kStep : j - i * kStep;
    return s >= 0 && s < kSize ? s : -1;
  }

  static int shift(const Conv2dProblem& p) {
    return kBackward ? static_cast<int>(p.pad_left % kStep) : 0;
  }

  // A tap's weights of the block's channels lie side by side, and one vector is left free between
  // taps: with 32 channels, writing the taps of a channel then meets different banks.
  template <int N>
  static __host__ __device__ int pitch(const Tiles& tiles) {
    return tiles.vectors * N + N;
  }
  template <int N>
  static __host__ __device__ size_t shared_bytes(const Tiles& tiles) {
    return kTaps * pitch<N>(tiles) * sizeof(float);
  }

  // w (C, kTaps) to shared memory (kTaps, pitch)
  template <int N, class T>
  static FC_DEVICE void prepare(const Tiles& tiles, const T* w) {
    float* taps = shared_memory<float>();
    const int c0 = tiles.first_channel<N>();
    const int count = std::min(tiles.vectors * N, tiles.channels - c0) * kTaps;
    const T* from = w + int64_t{c0} * kTaps;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlock) {
      taps[i % kTaps * pitch<N>(tiles) + i / kTaps] = widen(from[i]);
    }
    __syncthreads();
  }

  // load_row(patch, row, first column, inputs): pixels of a row of the input, zeros outside of the
  // image
  template <int N, class T, class LoadRow>
  static FC_DEVICE void accumulate(const Image& image, const Tiles& tiles, const Patch& patch,
                                   const T*, LoadRow load_row, Vec<float, N> (&acc)[kColumns]) {
    const float* taps = shared_memory<float>() + patch.vector * N;
    const int to_row = patch.row + image.pad_top, to_column = patch.column + image.pad_left;
    const int first_tap = kBackward ? to_row % kStep : 0;
    const int first_row = kBackward ? to_row / kStep : patch.row * kStep - image.pad_top;
    const int first_column =
        kBackward ? to_column / kStep - (kSize - 1) / kStep : patch.column * kStep - image.pad_left;
#pragma unroll kUnrolledRows
    for (int k = 0; k < (kBackward ? ceil_div(kSize, kStep) : kSize); ++k) {
      const int r = first_tap + (kBackward ? k * kStep : k);
      const int row = first_row + (kBackward ? -k : k);
      if (r >= kSize || row < 0 || row >= image.in_h) continue;
      Vec<float, N> weights[kSize];
#pragma unroll
      for (int s = 0; s < kSize; ++s) {
        weights[s] = load<N>(taps + (r * kSize + s) * pitch<N>(tiles));
      }
      add_inputs<0>(patch, row, first_column, load_row, weights, acc);
    }
  }

 private:
  // Inputs kFirst and following of a row.
  template <int kFirst, int N, class LoadRow>
  static FC_DEVICE void add_inputs(const Patch& patch, int row, int first_column, LoadRow load_row,
                                   const Vec<float, N> (&weights)[kSize],
                                   Vec<float, N> (&acc)[kColumns]) {
    constexpr int kCount = std::min(kInputsAtOnce, kInputs - kFirst);
    Vec<float, N> in[kCount];
    load_row(patch, row, first_column + kFirst, in);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        const int s = tap_of(i, kFirst + j);
        if (s < 0) continue;
#pragma unroll
        for (int c = 0; c < N; ++c) acc[i][c] += in[j][c] * weights[s][c];
      }
    }
    if constexpr (kFirst + kCount < kInputs) {
      add_inputs<kFirst + kCount>(patch, row, first_column, load_row, weights, acc);
    }
  }
};

}  // namespace fc::cuda
