// Step 3: a thread owns 4 x 4 results.
//
// In step 2 every multiply-add needs two words of shared memory, which delivers a fraction of what
// the arithmetic takes. Here 4 pixels and 4 outputs in registers make 16 multiply-adds: a quarter
// of the words, and, with 4 channels per load, a sixteenth of the loads. The tile grows to 64
// pixels of 64 outputs: an element that comes from global memory serves 64 results instead of 16.
//
// gain: not measured
#include "cuda/ladder/conv2d/register_tile.h"
#include "cuda/ladder/conv2d/steps.h"

namespace fc::cuda::ladder {
namespace {

constexpr int kM = 4, kN = 4;
constexpr int kTileM = kM * kSide, kTileN = kN * kSide;
constexpr size_t kTileBytes = (kTileM + kTileN) * kPitch * sizeof(float);
static_assert(kTileM == kLinesAtOnce && kTileN == kLinesAtOnce, "a thread copies a vector of each");

// grid (tiles of pixels, tiles of K)
__global__ void step3(Geometry g, const float* x, const float* w, float* y) {
  float* const tile_x = shared_memory<float>();    // (kTileM, kPitch)
  float* const tile_w = tile_x + kTileM * kPitch;  // (kTileN, kPitch)
  const int pixel0 = static_cast<int>(blockIdx.x) * kTileM;
  const int k0 = static_cast<int>(blockIdx.y) * kTileN;
  const int to = own_line() * kPitch + own_channel();
  const Window window = window_of(g, pixel0 + own_line());
  const Vec<float, kVec> zero = Vec<float, kVec>::all(0.f);
  float acc[kM][kN] = {};
  for (int r = 0; r < g.r; ++r) {
    for (int s = 0; s < g.s; ++s) {
      const float* in = inputs_at(g, x, window, r, s);
      const float* weights = weights_at(g, w, k0 + own_line(), r, s);
      for (int c0 = 0; c0 < g.c; c0 += kDepth) {
        const int c = c0 + own_channel();
        store(tile_x + to, in && c < g.c ? load<kVec>(in + c) : zero);
        store(tile_w + to, weights && c < g.c ? load<kVec>(weights + c) : zero);
        __syncthreads();
        multiply(tile_x, tile_w, acc);
        __syncthreads();  // all have read: the next turn may write
      }
    }
  }
  store_results(g, pixel0, k0, acc, y);
}

}  // namespace

void conv2d_step3(const Conv2dProblem& a, const float* x, const float* w, float* y, Stream stream) {
  const Geometry g(a);
  const dim3 grid(ceil_div(g.pixels, kTileM), ceil_div(g.k, kTileN));
  launch(step3, grid, kBlock, kTileBytes, stream, g, x, w, y);
}

}  // namespace fc::cuda::ladder
