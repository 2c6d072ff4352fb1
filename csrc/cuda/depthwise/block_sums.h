// Per channel the sum and the sum of squares of a block's results, in float64.
//
// A thread sums its few pixels around the first of them, in float32: what is squared is the spread,
// so rounding does not drown the variance of channels with a large mean, and float64, which is
// slow on most GPUs, is left for one step per patch:
//
//   sum t = n*t0 + sum d,   sum t^2 = sum d^2 + t0 (2 sum d + n*t0),   d = t - t0
#pragma once

#include "cuda/depthwise/tiles.h"
#include "cuda/device/vector.h"

namespace fc::cuda {

template <int N>
constexpr size_t kBlockSumsBytes = kBlock * (3 * N * sizeof(float) + sizeof(int));

// What a thread keeps from step to step: the sums of one channel, if it is one of the first threads
// (as many as the block has channels).
struct BlockSums {
  double total = 0, squares = 0;

  // t: the thread's results, of which the first `count` count. Every thread of the block calls
  // this; shared: kBlockSumsBytes<N>.
  template <int kColumns, int N>
  FC_DEVICE void add(const Tiles& tiles, int count, const Vec<float, N> (&t)[kColumns],
                     float* shared) {
    float* firsts = shared;                                       // (kBlock, N)
    float* sums = firsts + kBlock * N;                            // (kBlock, N)
    float* spreads = sums + kBlock * N;                           // (kBlock, N)
    auto* counts = reinterpret_cast<int*>(spreads + kBlock * N);  // (kBlock)
    Vec<float, N> sum = Vec<float, N>::all(0.f), spread = sum;
#pragma unroll
    for (int i = 1; i < kColumns; ++i) {
#pragma unroll
      for (int c = 0; c < N; ++c) {
        const float d = i < count ? t[i][c] - t[0][c] : 0.f;
        sum[c] += d;
        spread[c] += d * d;
      }
    }
    const int me = static_cast<int>(threadIdx.x);
    __syncthreads();  // the step before has been summed
    store(firsts + me * N, t[0]);
    store(sums + me * N, sum);
    store(spreads + me * N, spread);
    counts[me] = count;
    __syncthreads();

    // (kBlock, N) is (patches, width), and some threads without a patch
    const int width = tiles.vectors * N;
    if (me >= width) return;
    for (int i = 0; i < tiles.patches; ++i) {
      const int at = i * width + me, n = counts[at / N];
      if (n == 0) continue;
      const double t0 = firsts[at], moved = n * t0;
      total += moved + sums[at];
      squares += spreads[at] + t0 * (2.0 * sums[at] + moved);
    }
  }

  // partial (blocks, 2, C)
  template <int N>
  FC_DEVICE void store_sums(const Tiles& tiles, double* partial) const {
    const int me = static_cast<int>(threadIdx.x), channel = tiles.first_channel<N>() + me;
    if (me >= tiles.vectors * N || channel >= tiles.channels) return;
    double* to = partial + int64_t{blockIdx.x} * 2 * tiles.channels + channel;
    to[0] = total;
    to[tiles.channels] = squares;
  }
};

}  // namespace fc::cuda
