// How a block of eight warps shares 36 matrix products (32 tiles, C) x (C, 32 columns), one per
// frequency, and where their operands lie.
//
// Every half warp owns two frequencies and all of their 32 x 32 results, 8 x 8 a thread. That
// makes 32 frequencies; of each of the last four, the rest, four half warps own eight columns each,
// 4 x 4 a thread. So all 256 threads have 64 + 64 + 16 = 144 accumulators. (Nine warps of four
// frequencies would be simpler, but with them a thread may have 168 registers, not 255.)
//
// In shared memory a line is 32 floats: all of the banks. The two halves of a warp read different
// lines, at any time half of each: lines of the second half warp are stored with their halves
// exchanged, so that the two never want the same banks.
#pragma once

#include "cuda/device/warp.h"
#include "cuda/winograd/transforms.h"

namespace fc::cuda::winograd {

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int kTiles = 32, kColumns = 32;  // of a block
constexpr int kDepth = 8;                  // channels that are transformed together
constexpr int kStep = 2;                   // channels whose weights are copied together
constexpr int kStages = 3;                 // steps on the way, and the one in use
constexpr int kGroup = 4;                  // neighbours that are read at once
constexpr int kOwn = 4;                    // frequencies of a warp, without the rest
constexpr int kRest = kOwn * kWarps;       // the first frequency of the rest
constexpr int kRestColumns = 16;           // of a warp

constexpr int kLine = 32;
constexpr int kWarpLine = kOwn * kColumns + kRestColumns;  // weights of a warp, of one channel
constexpr int kWarpStep = kStep * kWarpLine;
constexpr int kBlockStep = kWarps * kWarpStep;

constexpr int kImageElements = kFrequencies * kDepth * kTiles;  // V: (36, kDepth, 32)
constexpr int kRingElements = kStages * kBlockStep;             // (kStages, warp, kStep, kWarpLine)
constexpr int kSharedBytes = (kImageElements + kRingElements) * sizeof(float);
static_assert(kSharedBytes <= 64 << 10, "more than an sm_75 block may have");
static_assert(kThreads == kTiles * kDepth, "a thread per patch and channel");

// What a line's index is changed by so that half warps do not meet.
__host__ __device__ constexpr int exchanged(int frequency) {
  return frequency < kRest && frequency / 2 % 2 ? kLine / 2 : 0;
}

// The weight of a frequency and column within those of a step (kWarps, kStep, kWarpLine), channel
// 0.
__host__ __device__ constexpr int weight_at(int frequency, int column) {
  if (frequency < kRest) {
    return frequency / kOwn * kWarpStep + frequency % kOwn * kColumns +
           (column ^ exchanged(frequency));
  }
  const int warp = (frequency - kRest) * 2 + column / kRestColumns;
  return warp * kWarpStep + kOwn * kColumns + column % kRestColumns;
}

// Element (channel, tile) of a frequency's part of V. Groups of four tiles are permuted by the
// channel: threads that transform eight channels of four tiles write into all banks.
__host__ __device__ constexpr int image_at(int channel, int tile) {
  return channel * kLine + (tile ^ (channel * kGroup));
}

// A thread's results: of two frequencies tiles m .. m+3 and 16+m .. 16+m+3, and columns so by n; of
// the rest tiles rest_m .. rest_m+3 and columns rest_n .. rest_n+3 of the warp's.
struct Place {
  int warp, first;  // the first of the two frequencies
  int m, n, rest_m, rest_n;
  int exchanged;

  FC_DEVICE Place() {
    const int lane = lane_of_thread(), half = lane / 16;
    warp = warp_of_thread();
    first = warp * kOwn + half * 2;
    m = lane % 16 / 4 * kGroup;
    n = lane % 4 * kGroup;
    rest_m = lane % 16 / 2 * kGroup;
    rest_n = (half * 2 + lane % 2) * kGroup;
    exchanged = half * (kLine / 2);
  }
  FC_DEVICE int rest() const { return kRest + warp / 2; }
  FC_DEVICE int rest_column() const { return warp % 2 * kRestColumns + rest_n; }
};

}  // namespace fc::cuda::winograd
