// Step 3: a thread owns 4 neighbouring channels.
//
// Loads and stores move 16 bytes instead of 4: a quarter of the instructions, addresses and bounds
// checks for the same bytes, and four times as many bytes on the way per thread, which is what
// hides the latency of memory.
//
// gain: not measured
#include "cuda/device/divide.h"
#include "cuda/device/vector.h"
#include "cuda/ladder/depthwise/weights.h"

namespace fc::cuda::ladder {
namespace {

constexpr int kN = 4, kVectors = 8, kChannels = kN * kVectors, kPixels = kBlock / kVectors;

__global__ void step3(Sizes size, int pixels, Divider by_q, Divider by_p, const float* x,
                      const float* w, float* y) {
  const int thread = static_cast<int>(threadIdx.x), c0 = static_cast<int>(blockIdx.y) * kChannels;
  const float* taps = shared_weights<kChannels>(w, c0, size.c, thread) + thread % kVectors * kN;
  const int c = c0 + thread % kVectors * kN;
  const int pixel = static_cast<int>(blockIdx.x) * kPixels + thread / kVectors;
  if (c >= size.c || pixel >= pixels) return;
  int row, n, p, q;
  by_q.split(pixel, row, q);
  by_p.split(row, n, p);
  Vec<float, kN> acc = Vec<float, kN>::all(0.f);
#pragma unroll
  for (int r = 0; r < kWindow; ++r) {
#pragma unroll
    for (int s = 0; s < kWindow; ++s) {
      const int in_row = p + r - size.pad_top, in_column = q + s - size.pad_left;
      if (in_row < 0 || in_row >= size.h || in_column < 0 || in_column >= size.w) continue;
      const int64_t at = (int64_t{n} * size.h + in_row) * size.w + in_column;
      const Vec<float, kN> in = load<kN>(x + at * size.c + c);
      const Vec<float, kN> weight = load<kN>(taps + (r * kWindow + s) * kPitch<kChannels>);
#pragma unroll
      for (int i = 0; i < kN; ++i) acc[i] += in[i] * weight[i];
    }
  }
  store(y + int64_t{pixel} * size.c + c, acc);
}

}  // namespace

void depthwise_step3(const Conv2dProblem& a, const float* x, const float* w, float* y,
                     Stream stream) {
  const auto pixels = static_cast<int>(a.n * a.p * a.q);
  const dim3 grid(ceil_div(pixels, kPixels), static_cast<unsigned>(ceil_div(a.c, kChannels)));
  launch(step3, grid, kBlock, kWeightBytes<kChannels>, stream, Sizes(a), pixels, Divider(a.q),
         Divider(a.p), x, w, y);
}

}  // namespace fc::cuda::ladder
