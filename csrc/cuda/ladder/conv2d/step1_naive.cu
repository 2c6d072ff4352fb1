// Step 1: the formula of steps.h as it reads, one thread per output element.
//
// Neighbouring threads have neighbouring output channels: y moves in whole sectors, and the element
// of x is the same for the warp. w is not: w[k,r,s,c] of neighbouring k lie R*S*C elements apart,
// and a warp's request touches 32 places. Every multiply-add costs 2 loads from global memory.
//
// gain: the base of the others
#include "cuda/device/launch.h"
#include "cuda/ladder/conv2d/geometry.h"
#include "cuda/ladder/conv2d/steps.h"

namespace fc::cuda::ladder {
namespace {

__global__ void step1(Geometry g, int64_t count, const float* x, const float* w, float* y) {
  const int64_t at = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (at >= count) return;
  int pixel, k;
  g.by_k.split(static_cast<int>(at), pixel, k);
  const Window window = window_of(g, pixel);
  float acc = 0;
  for (int r = 0; r < g.r; ++r) {
    for (int s = 0; s < g.s; ++s) {
      const float* in = inputs_at(g, x, window, r, s);
      if (!in) continue;
      const float* weights = weights_at(g, w, k, r, s);
      for (int c = 0; c < g.c; ++c) {
        const float value = in[c];  // a line of its own: a trace counts by lines
        acc += value * weights[c];
      }
    }
  }
  y[at] = acc;
}

}  // namespace

void conv2d_step1(const Conv2dProblem& a, const float* x, const float* w, float* y, Stream stream) {
  const int64_t count = a.n * a.p * a.q * a.k;
  launch(step1, blocks_for(count), kBlock, 0, stream, Geometry(a), count, x, w, y);
}

}  // namespace fc::cuda::ladder
