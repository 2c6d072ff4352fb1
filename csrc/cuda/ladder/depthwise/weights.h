// w (C,3,3) of the block's channels c0 .. c0 + kCount - 1 into shared memory (9, kCount + 4).
// Reading runs along memory; what is read is written transposed, and the 4 elements more per row
// let the taps of a channel fall into different banks.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/ladder/depthwise/steps.h"

namespace fc::cuda::ladder {

template <int kCount>
constexpr int kPitch = kCount + 4;
template <int kCount>
constexpr size_t kWeightBytes = kTaps * kPitch<kCount> * sizeof(float);

// thread: of the kBlock threads of the block
template <int kCount>
FC_DEVICE const float* shared_weights(const float* w, int c0, int channels, int thread) {
  float* taps = shared_memory<float>();
  for (int i = thread; i < kTaps * kCount; i += kBlock) {
    const int c = i / kTaps, tap = i % kTaps;
    if (c0 + c < channels) taps[tap * kPitch<kCount> + c] = w[int64_t{c0} * kTaps + i];
  }
  __syncthreads();
  return taps;
}

}  // namespace fc::cuda::ladder
