// Step 2: a tile of a matrix product, through shared memory.
//
// Seen as y (N*P*Q, K) = sum over (r, s, c) of x (N*P*Q, R*S*C) w (K, R*S*C)^T, with rows of x that
// are looked up in the image instead of copied out of it ("implicit"), convolution is a matrix
// product. A block owns 16 pixels of 16 output channels. Per turn it brings 16 channels of both
// into shared memory, each element once, neighbouring threads along c: every element then serves
// 16 threads, global memory sees a sixteenth of the loads, and those of w lie side by side.
//
// Lines of a tile are 17 apart: 16 threads that read the same channel of 16 lines meet 16 banks.
//
// gain: not measured
#include "cuda/device/launch.h"
#include "cuda/ladder/conv2d/geometry.h"
#include "cuda/ladder/conv2d/steps.h"

namespace fc::cuda::ladder {
namespace {

constexpr int kTile = 16, kPitch = kTile + 1;
constexpr size_t kTileBytes = kTile * kPitch * sizeof(float);

// block of kTile * kTile threads, grid (tiles of pixels, tiles of K)
__global__ void step2(Geometry g, const float* x, const float* w, float* y) {
  float* const tile_x = shared_memory<float>();   // (kTile pixels, kPitch)
  float* const tile_w = tile_x + kTile * kPitch;  // (kTile outputs, kPitch)
  const int row = static_cast<int>(threadIdx.x) / kTile;
  const int column = static_cast<int>(threadIdx.x) % kTile;
  const int pixel0 = static_cast<int>(blockIdx.x) * kTile;
  const int k0 = static_cast<int>(blockIdx.y) * kTile;
  const Window window = window_of(g, pixel0 + row);
  float acc = 0;
  for (int r = 0; r < g.r; ++r) {
    for (int s = 0; s < g.s; ++s) {
      const float* in = inputs_at(g, x, window, r, s);
      const float* weights = weights_at(g, w, k0 + row, r, s);
      for (int c0 = 0; c0 < g.c; c0 += kTile) {
        const int c = c0 + column;
        tile_x[row * kPitch + column] = in && c < g.c ? in[c] : 0;
        tile_w[row * kPitch + column] = weights && c < g.c ? weights[c] : 0;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < kTile; ++i) {
          acc += tile_x[row * kPitch + i] * tile_w[column * kPitch + i];
        }
        __syncthreads();  // all have read: the next turn may write
      }
    }
  }
  const int pixel = pixel0 + row, k = k0 + column;
  if (pixel < g.pixels && k < g.k) y[int64_t{pixel} * g.k + k] = acc;
}

}  // namespace

void conv2d_step2(const Conv2dProblem& a, const float* x, const float* w, float* y, Stream stream) {
  const Geometry g(a);
  const dim3 grid(ceil_div(g.pixels, kTile), ceil_div(g.k, kTile));
  launch(step2, grid, kTile * kTile, 2 * kTileBytes, stream, g, x, w, y);
}

}  // namespace fc::cuda::ladder
