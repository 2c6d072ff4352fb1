// A block's tile of kM*16 pixels and kN*16 output channels, kM x kN results of each thread: what
// steps 3 and 4 have in common.
//
// Thread (m, n) of 16 x 16 owns pixels m, m + 16, ... and outputs n, n + 16, ...: neighbouring
// threads read neighbouring lines of shared memory and write neighbouring elements of y.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/device/vector.h"
#include "cuda/ladder/conv2d/geometry.h"

namespace fc::cuda::ladder {

constexpr int kSide = 16;                       // threads along a side of the tile
constexpr int kDepth = 16;                      // channels per turn
constexpr int kVec = 4;                         // channels that are copied and read at once
constexpr int kPieces = kDepth / kVec;          // of a line
constexpr int kLinesAtOnce = kBlock / kPieces;  // that the block copies with a vector per thread
// 16 bytes more: the same channels of 8 lines, which 8 threads read together, lie in all banks
constexpr int kPitch = kDepth + kVec;
static_assert(kBlock == kSide * kSide, "a thread per place");

// What a thread copies: 4 channels from own_channel on of line own_line. A quarter of a warp writes
// two lines at a time: those are 4 apart, since 4 * kPitch is half of the banks.
FC_DEVICE int own_channel() { return static_cast<int>(threadIdx.x) % kPieces * kVec; }
FC_DEVICE int own_line() {
  const int i = static_cast<int>(threadIdx.x) / kPieces;
  return i / 8 * 8 + i % 2 * 4 + i % 8 / 2;
}

// acc += tile_x (kM*16 pixels, kPitch) tile_w (kN*16 outputs, kPitch)^T. What is read of x stays in
// registers while w streams by: (kM + kN) loads of 4 channels for 4 * kM * kN multiply-adds.
template <int kM, int kN>
FC_DEVICE void multiply(const float* tile_x, const float* tile_w, float (&acc)[kM][kN]) {
  const int m = static_cast<int>(threadIdx.x) / kSide, n = static_cast<int>(threadIdx.x) % kSide;
#pragma unroll
  for (int c = 0; c < kDepth; c += kVec) {
    Vec<float, kVec> a[kM];
#pragma unroll
    for (int i = 0; i < kM; ++i) a[i] = load<kVec>(tile_x + (i * kSide + m) * kPitch + c);
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const Vec<float, kVec> b = load<kVec>(tile_w + (j * kSide + n) * kPitch + c);
#pragma unroll
      for (int q = 0; q < kVec; ++q) {
#pragma unroll
        for (int i = 0; i < kM; ++i) acc[i][j] += a[i][q] * b[q];
      }
    }
  }
}

template <int kM, int kN>
FC_DEVICE void store_results(const Geometry& g, int pixel0, int k0, const float (&acc)[kM][kN],
                             float* y) {
  const int m = static_cast<int>(threadIdx.x) / kSide, n = static_cast<int>(threadIdx.x) % kSide;
#pragma unroll
  for (int i = 0; i < kM; ++i) {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const int pixel = pixel0 + i * kSide + m, k = k0 + j * kSide + n;
      if (pixel < g.pixels && k < g.k) y[int64_t{pixel} * g.k + k] = acc[i][j];
    }
  }
}

}  // namespace fc::cuda::ladder
