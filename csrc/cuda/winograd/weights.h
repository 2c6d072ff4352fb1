// U = G w G': the weights as winograd_kernel reads them.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/winograd/image.h"

namespace fc::cuda::winograd {

constexpr int kStepPitch = kBlockStep + kGroup;  // keeps steps in different banks
constexpr int kSteps = kDepth / kStep;
constexpr int kWeightsBytes = kSteps * kStepPitch * sizeof(float);

// Floats of u.
inline int64_t weight_elements(const Image& image) {
  return int64_t{image.column_blocks()} * image.depths() * kSteps * kBlockStep;
}

// Forward: w (out, 3, 3, in). Backward: w (in, 3, 3, out), taps turned round.
// u (column blocks, channels / kStep, kBlockStep), zero beyond the channels and columns.
// grid (depths, column blocks): a thread per channel and column; neighbours read neighbours, and
// the order that u wants is made in shared memory.
template <class T, bool kBackward>
__global__ void __launch_bounds__(kThreads, 2)
    winograd_weights_kernel(const T* w, int in_c, int out_c, float* u) {
  float* const staged = shared_memory<float>();  // (kSteps, kStepPitch)
  const int me = static_cast<int>(threadIdx.x);
  const int channel = kBackward ? me / kColumns : me % kDepth;
  const int column = kBackward ? me % kColumns : me / kDepth;
  const int in = static_cast<int>(blockIdx.x) * kDepth + channel;
  const int out = static_cast<int>(blockIdx.y) * kColumns + column;
  const bool inside = in < in_c && out < out_c;

  float half[kTaps][kPoints];  // the lines of the window, transformed
#pragma unroll
  for (int r = 0; r < kTaps; ++r) {
    float line[kTaps];
#pragma unroll
    for (int s = 0; s < kTaps; ++s) {
      constexpr int kLast = kTaps * kTaps - 1;
      const int tap = kBackward ? kLast - (r * kTaps + s) : r * kTaps + s;
      const int64_t at = kBackward ? (int64_t{in} * (kLast + 1) + tap) * out_c + out
                                   : (int64_t{out} * (kLast + 1) + tap) * in_c + in;
      line[s] = inside ? widen(w[at]) : 0.f;
    }
    transform_weights(line, half[r]);
  }
  float* const to = staged + channel / kStep * kStepPitch + channel % kStep * kWarpLine;
#pragma unroll
  for (int j = 0; j < kPoints; ++j) {
    const float taps[kTaps] = {half[0][j], half[1][j], half[2][j]};
    float points[kPoints];
    transform_weights(taps, points);
#pragma unroll
    for (int i = 0; i < kPoints; ++i) to[weight_at(i * kPoints + j, column)] = points[i];
  }
  __syncthreads();

  float* const from_here =
      u + (int64_t{blockIdx.y} * gridDim.x + blockIdx.x) * (kSteps * kBlockStep);
  constexpr int kPieces = kBlockStep / kGroup;
  for (int i = me; i < kSteps * kPieces; i += kThreads) {
    const int step = i / kPieces, at = i % kPieces * kGroup;
    store(from_here + step * kBlockStep + at, load<kGroup>(staged + step * kStepPitch + at));
  }
}

template <bool kBackward, class T>
void transform_all_weights(const Image& image, const T* w, float* u, Stream stream) {
  if (image.in_c == 0) return;
  const dim3 grid(image.depths(), image.column_blocks());
  launch(winograd_weights_kernel<T, kBackward>, grid, kThreads, kWeightsBytes, stream, w,
         image.in_c, image.out_c, u);
}

}  // namespace fc::cuda::winograd
