// Per channel the sum and the sum of squares of a tile's results, in float64.
//
// Threads sum around the tile's first pixel, in float32: what is squared is the spread, so rounding
// does not drown the variance of channels with a large mean, and float64, which is slow on most
// GPUs, is left for one step per tile and channel:
//
//   sum t = n*t0 + sum d,   sum t^2 = sum d^2 + t0 (2 sum d + n*t0),   d = t - t0
#pragma once

#include "cuda/device/warp.h"
#include "cuda/stem/plan.h"

namespace fc::cuda {

// t: the thread's results, pixel by pixel the channels of two groups; there(i): whether pixel i
// exists. `pixels` of the tile do. Every thread of the block calls this; shared:
// StemFwdPlan::sums_floats(); to: (2, K) of the tile.
template <int kLanes, int kCount, class There>
FC_DEVICE void store_tile_sums(const Vec<float, kQuad> (&t)[kCount], There there, int pixels,
                               int k0, int k, float* shared, double* to) {
  constexpr int kChannels = kLanes * 8;
  float* pivots = shared;             // (kChannels)
  float* parts = shared + kChannels;  // (warps, 2, kChannels)
  const int me = static_cast<int>(threadIdx.x), mine = me % kLanes * kQuad;
  __syncthreads();  // nobody reads the patch any more
  if (me < kLanes) {
    store(pivots + mine, t[0]);
    store(pivots + mine + kLanes * kQuad, t[1]);
  }
  __syncthreads();
#pragma unroll
  for (int g = 0; g < 2; ++g) {
    const int at = mine + g * kLanes * kQuad;
    const Vec<float, kQuad> pivot = load<kQuad>(pivots + at);
    Vec<float, kQuad> sum = Vec<float, kQuad>::all(0.f), spread = sum;
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      if (!there(i)) continue;
#pragma unroll
      for (int c = 0; c < kQuad; ++c) {
        const float d = t[2 * i + g][c] - pivot[c];
        sum[c] += d;
        spread[c] += d * d;
      }
    }
#pragma unroll
    for (int mask = kLanes; mask < kWarp; mask *= 2) {
#pragma unroll
      for (int c = 0; c < kQuad; ++c) {
        sum[c] += shuffle_xor(sum[c], mask);
        spread[c] += shuffle_xor(spread[c], mask);
      }
    }
    if (lane_of_thread() < kLanes) {
      float* mine_of_warp = parts + warp_of_thread() * 2 * kChannels + at;
      store(mine_of_warp, sum);
      store(mine_of_warp + kChannels, spread);
    }
  }
  __syncthreads();
  if (me >= kChannels || k0 + me >= k) return;
  double sum = 0, spread = 0;
  for (int i = 0; i < static_cast<int>(blockDim.x) / kWarp; ++i) {
    sum += parts[i * 2 * kChannels + me];
    spread += parts[(i * 2 + 1) * kChannels + me];
  }
  const double t0 = pivots[me], moved = pixels * t0;
  to[k0 + me] = moved + sum;
  to[k + k0 + me] = spread + t0 * (2.0 * sum + moved);
}

}  // namespace fc::cuda
