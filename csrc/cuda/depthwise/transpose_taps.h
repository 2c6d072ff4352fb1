// taps[t, c] = w[c, t]: the weights as kernels of any window read them.
#pragma once

#include <cstdint>

#include "cuda/device/launch.h"

namespace fc::cuda {

constexpr int kTransposeTile = 32;

// w (C, taps), out (taps, C); a block turns a tile of 32 x 32 through shared memory.
template <class T>
__global__ void __launch_bounds__(kBlock)
    transpose_taps_kernel(const T* w, int64_t channels, int64_t taps, T* out) {
  T* tile = shared_memory<T>();  // (32, 33): reading a column meets 32 banks
  constexpr int kPitch = kTransposeTile + 1;
  const int lane = static_cast<int>(threadIdx.x) % kTransposeTile;
  const int first = static_cast<int>(threadIdx.x) / kTransposeTile;
  constexpr int kStep = kBlock / kTransposeTile;
  const int64_t c0 = int64_t{blockIdx.x} * kTransposeTile,
                t0 = int64_t{blockIdx.y} * kTransposeTile;
  for (int i = first; i < kTransposeTile; i += kStep) {
    if (c0 + i < channels && t0 + lane < taps) {
      tile[i * kPitch + lane] = w[(c0 + i) * taps + t0 + lane];
    }
  }
  __syncthreads();
  for (int i = first; i < kTransposeTile; i += kStep) {
    if (t0 + i < taps && c0 + lane < channels) {
      out[(t0 + i) * channels + c0 + lane] = tile[lane * kPitch + i];
    }
  }
}

template <class T>
void transpose_taps(const T* w, int64_t channels, int64_t taps, T* out, Stream stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(channels, kTransposeTile)),
                  static_cast<unsigned>(ceil_div(taps, kTransposeTile)));
  launch(transpose_taps_kernel<T>, grid, kBlock, kTransposeTile * (kTransposeTile + 1) * sizeof(T),
         stream, w, channels, taps, out);
}

}  // namespace fc::cuda
