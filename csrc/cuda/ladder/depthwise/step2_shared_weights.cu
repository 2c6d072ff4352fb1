// Step 2: weights through shared memory, transposed.
//
// A block owns 32 channels of 64 pixels. It reads their weights once, along memory, and
// leaves them in shared memory as (tap, channel): the 32 places per request of step 1 become one
// wavefront, and half of the loads no longer leave the multiprocessor. The grid gets an axis of
// channels, so that the division by C goes too.
//
// gain: not measured
#include "cuda/device/divide.h"
#include "cuda/ladder/depthwise/weights.h"

namespace fc::cuda::ladder {
namespace {

constexpr int kChannels = 32, kPixels = kBlock / kChannels, kRounds = 8;

__global__ void step2(Sizes size, int pixels, Divider by_q, Divider by_p, const float* x,
                      const float* w, float* y) {
  const int thread = static_cast<int>(threadIdx.x), c0 = static_cast<int>(blockIdx.y) * kChannels;
  const float* taps = shared_weights<kChannels>(w, c0, size.c, thread);
  const int c = c0 + thread % kChannels;
  if (c >= size.c) return;
  for (int round = 0; round < kRounds; ++round) {
    const int pixel =
        (static_cast<int>(blockIdx.x) * kRounds + round) * kPixels + thread / kChannels;
    if (pixel >= pixels) return;
    int row, n, p, q;
    by_q.split(pixel, row, q);
    by_p.split(row, n, p);
    float acc = 0;
    for (int r = 0; r < kWindow; ++r) {
      for (int s = 0; s < kWindow; ++s) {
        const int in_row = p + r - size.pad_top, in_column = q + s - size.pad_left;
        if (in_row < 0 || in_row >= size.h || in_column < 0 || in_column >= size.w) continue;
        const int64_t in = (int64_t{n} * size.h + in_row) * size.w + in_column;
        acc += x[in * size.c + c] * taps[(r * kWindow + s) * kPitch<kChannels> + c - c0];
      }
    }
    y[int64_t{pixel} * size.c + c] = acc;
  }
}

}  // namespace

void depthwise_step2(const Conv2dProblem& a, const float* x, const float* w, float* y,
                     Stream stream) {
  const auto pixels = static_cast<int>(a.n * a.p * a.q);
  const dim3 grid(ceil_div(pixels, kPixels * kRounds),
                  static_cast<unsigned>(ceil_div(a.c, kChannels)));
  launch(step2, grid, kBlock, kWeightBytes<kChannels>, stream, Sizes(a), pixels, Divider(a.q),
         Divider(a.p), x, w, y);
}

}  // namespace fc::cuda::ladder
