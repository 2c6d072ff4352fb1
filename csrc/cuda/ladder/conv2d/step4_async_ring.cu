// Step 4: copies run ahead of the arithmetic, in a ring of 3 tiles.
//
// In step 3 everybody waits for global memory, then everybody computes. cp.async copies past the
// registers, and a thread that has issued it goes on: two turns are on the way while the third is
// multiplied, and one barrier per turn is enough. Nothing is staged in registers, and their room
// goes to a tile of 128 pixels, 8 x 4 results per thread: 12 words for 32 multiply-adds instead of
// 8 for 16, and w is read half as often.
//
// ../../gemm/mainloop.h is this loop for operands of either layout, with taps and channels as one
// axis (here a tap of few channels leaves the depth of a tile half empty) and with what surrounds
// the convolution: prologue, epilogue, sums, sums split over blocks.
//
// gain: not measured
#include "cuda/device/async_copy.h"
#include "cuda/ladder/conv2d/register_tile.h"
#include "cuda/ladder/conv2d/steps.h"

namespace fc::cuda::ladder {
namespace {

constexpr int kStages = 3;
constexpr int kM = 8, kN = 4;
constexpr int kTileM = kM * kSide, kTileN = kN * kSide;
constexpr int kLinesM = kTileM / kLinesAtOnce;  // that a thread copies a vector of
constexpr int kElements = (kTileM + kTileN) * kPitch;
static_assert(kTileM % kLinesAtOnce == 0 && kTileN == kLinesAtOnce, "a thread copies whole lines");

// grid (tiles of pixels, tiles of K); a turn is 16 channels of a tap
__global__ void step4(Geometry g, int turns, Divider by_chunks, Divider by_s, const float* x,
                      const float* w, float* y) {
  float* const ring = shared_memory<float>();  // (kStages, kTileM + kTileN, kPitch)
  const int pixel0 = static_cast<int>(blockIdx.x) * kTileM;
  const int k0 = static_cast<int>(blockIdx.y) * kTileN;
  Window windows[kLinesM];
#pragma unroll
  for (int i = 0; i < kLinesM; ++i) {
    windows[i] = window_of(g, pixel0 + i * kLinesAtOnce + own_line());
  }
  const auto issue = [&](int turn) {
    if (turn < turns) {
      int tap, chunk, r, s;
      by_chunks.split(turn, tap, chunk);
      by_s.split(tap, r, s);
      const int c = chunk * kDepth + own_channel();
      float* to = ring + turn % kStages * kElements + own_line() * kPitch + own_channel();
#pragma unroll
      for (int i = 0; i < kLinesM; ++i) {
        const float* in = inputs_at(g, x, windows[i], r, s);
        const bool valid = in && c < g.c;
        copy_async<kVec>(to + i * kLinesAtOnce * kPitch, valid ? in + c : x, valid);
      }
      const float* weights = weights_at(g, w, k0 + own_line(), r, s);
      const bool valid = weights && c < g.c;
      copy_async<kVec>(to + kTileM * kPitch, valid ? weights + c : w, valid);
    }
    commit_copies();  // an empty group keeps the count
  };

  float acc[kM][kN] = {};
#pragma unroll
  for (int turn = 0; turn < kStages - 1; ++turn) issue(turn);
  for (int turn = 0; turn < turns; ++turn) {
    wait_copies<kStages - 2>();
    __syncthreads();
    // into the slot that everybody has read: the barrier says so
    issue(turn + kStages - 1);
    const float* tile = ring + turn % kStages * kElements;
    multiply(tile, tile + kTileM * kPitch, acc);
  }
  store_results(g, pixel0, k0, acc, y);
}

}  // namespace

void conv2d_step4(const Conv2dProblem& a, const float* x, const float* w, float* y, Stream stream) {
  const Geometry g(a);
  const int chunks = ceil_div(g.c, kDepth);
  const dim3 grid(ceil_div(g.pixels, kTileM), ceil_div(g.k, kTileN));
  launch(step4, grid, kBlock, kStages * kElements * sizeof(float), stream, g, g.r * g.s * chunks,
         Divider(chunks), Divider(g.s), x, w, y);
}

}  // namespace fc::cuda::ladder
