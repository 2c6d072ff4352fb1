// M[f] = V[f]' U[f] for all frequencies f: the weights come through a ring, and every warp copies
// only what it needs itself, so that no barrier of the block is in the way.
#pragma once

#include "cuda/device/async_copy.h"
#include "cuda/winograd/layout.h"

namespace fc::cuda::winograd {

struct Accumulators {
  static constexpr int kSide = 2 * kGroup;
  float own[2][kSide][kSide];  // (frequency, tile, column)
  float rest[kGroup][kGroup];  // (tile, column)

  FC_DEVICE Accumulators() {
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
#pragma unroll
      for (int j = 0; j < kSide; ++j) own[0][i][j] = own[1][i][j] = 0;
    }
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
#pragma unroll
      for (int j = 0; j < kGroup; ++j) rest[i][j] = 0;
    }
  }

  // One channel. image: V (36, kDepth, 32); weights: the warp's of this channel (kWarpLine).
  FC_DEVICE void multiply(const float* image, const float* weights, int channel,
                          const Place& place) {
    constexpr int kFrequency = kDepth * kLine;
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      const float* const line = image + (place.first + q) * kFrequency;
      const int tile = image_at(channel, place.m) ^ place.exchanged;
      const float* const columns = weights + (place.first + q) % kOwn * kColumns;
      const int column = place.n ^ place.exchanged;
      const Vec<float, kGroup> a[2] = {load<kGroup>(line + tile),
                                       load<kGroup>(line + (tile ^ kLine / 2))};
      const Vec<float, kGroup> b[2] = {load<kGroup>(columns + column),
                                       load<kGroup>(columns + (column ^ kLine / 2))};
#pragma unroll
      for (int i = 0; i < kSide; ++i) {
#pragma unroll
        for (int j = 0; j < kSide; ++j) {
          own[q][i][j] = fmaf(a[i / kGroup][i % kGroup], b[j / kGroup][j % kGroup], own[q][i][j]);
        }
      }
    }
    const Vec<float, kGroup> a =
        load<kGroup>(image + place.rest() * kFrequency + image_at(channel, place.rest_m));
    const Vec<float, kGroup> b = load<kGroup>(weights + kOwn * kColumns + place.rest_n);
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
#pragma unroll
      for (int j = 0; j < kGroup; ++j) rest[i][j] = fmaf(a[i], b[j], rest[i][j]);
    }
  }
};

// The weights of a warp, step by step.
class WeightRing {
 public:
  // u: of the block's columns; ring (kStages, kWarps, kStep, kWarpLine)
  FC_DEVICE WeightRing(const float* u, int steps, float* ring)
      : from_(u + warp_of_thread() * kWarpStep),
        ring_(ring + warp_of_thread() * kWarpStep),
        left_(steps) {
#pragma unroll
    for (int i = 0; i < kStages - 1; ++i) issue(i);
  }

  // The next step's weights (kStep, kWarpLine); those of the step before may be overwritten.
  FC_DEVICE const float* next() {
    wait_copies<kStages - 2>();
    __syncwarp();
    issue(slot_ == 0 ? kStages - 1 : slot_ - 1);
    const float* const now = ring_ + slot_ * kBlockStep;
    slot_ = slot_ == kStages - 1 ? 0 : slot_ + 1;
    return now;
  }

 private:
  FC_DEVICE void issue(int slot) {
    constexpr int kPieces = kWarpStep / kGroup;
    if (left_ > 0) {
      float* const to = ring_ + slot * kBlockStep;
#pragma unroll
      for (int i = 0; i < kPieces; i += kWarp) {
        const int piece = i + lane_of_thread();
        if (i + kWarp <= kPieces || piece < kPieces) {
          copy_async<kGroup>(to + piece * kGroup, from_ + piece * kGroup);
        }
      }
      from_ += kBlockStep;
      --left_;
    }
    commit_copies();  // an empty group keeps the count
  }

  const float* from_;
  float* ring_;
  int left_, slot_ = 0;
};

}  // namespace fc::cuda::winograd
