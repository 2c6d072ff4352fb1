// Step 1: the formula of steps.h as it reads, one thread per output element.
//
// Neighbouring threads have neighbouring channels, so x and y move in whole sectors. w does not:
// w[c,r,s] of neighbouring channels lie 9 elements apart, and a warp's request touches 32 places.
// An output costs 18 loads of one element for 9 multiply-adds.
//
// gain: the base of the others
#include "cuda/device/divide.h"
#include "cuda/device/launch.h"
#include "cuda/ladder/depthwise/steps.h"

namespace fc::cuda::ladder {
namespace {

__global__ void step1(Sizes size, int64_t count, Divider by_c, Divider by_q, Divider by_p,
                      const float* x, const float* w, float* y) {
  const int64_t at = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (at >= count) return;
  int pixel, row, n, p, q, c;
  by_c.split(static_cast<int>(at), pixel, c);
  by_q.split(pixel, row, q);
  by_p.split(row, n, p);
  float acc = 0;
  for (int r = 0; r < kWindow; ++r) {
    for (int s = 0; s < kWindow; ++s) {
      const int in_row = p + r - size.pad_top, in_column = q + s - size.pad_left;
      if (in_row < 0 || in_row >= size.h || in_column < 0 || in_column >= size.w) continue;
      const int64_t in = (int64_t{n} * size.h + in_row) * size.w + in_column;
      acc += x[in * size.c + c] * w[(c * kWindow + r) * kWindow + s];
    }
  }
  y[at] = acc;
}

}  // namespace

void depthwise_step1(const Conv2dProblem& a, const float* x, const float* w, float* y,
                     Stream stream) {
  const int64_t count = a.n * a.p * a.q * a.c;
  launch(step1, blocks_for(count), kBlock, 0, stream, Sizes(a), count, Divider(a.c), Divider(a.q),
         Divider(a.p), x, w, y);
}

}  // namespace fc::cuda::ladder
