// Step 4: a thread owns 4 neighbouring pixels, a block a tile of 16 x 8 pixels.
//
// Four pixels of a row read 6 columns, not 4 * 3: 4.5 loads per output instead of 9, and a row of
// weights in registers serves all four. The tile makes neighbours of the rows that windows share:
// of 10 rows that the block reads, 8 are its own, and the second and third reading of each comes
// from L1.
//
// The kernel of ../../depthwise/ is this one for more windows and strides, with tiles that go on
// from image to image (here the last tile of a small image is half empty), and with what surrounds
// the convolution: prologue, epilogue, sums.
//
// gain: not measured
#include "cuda/device/divide.h"
#include "cuda/device/vector.h"
#include "cuda/ladder/depthwise/weights.h"

namespace fc::cuda::ladder {
namespace {

constexpr int kN = 4, kVectors = 8, kChannels = kN * kVectors;
constexpr int kColumns = 4, kInputs = kColumns + kWindow - 1;
constexpr int kGroups = 4, kRows = kBlock / (kVectors * kGroups);  // a tile: groups of pixels, rows

// block (kVectors, kGroups, kRows), grid (tiles of a row * tiles of a column, channels, N)
__global__ void step4(Sizes size, Divider by_tiles, const float* x, const float* w, float* y) {
  const auto [vector, group, row] = threadIdx;
  const int thread = static_cast<int>((row * kGroups + group) * kVectors + vector);
  const int c0 = static_cast<int>(blockIdx.y) * kChannels;
  const int own = static_cast<int>(vector) * kN, c = c0 + own;
  const float* taps = shared_weights<kChannels>(w, c0, size.c, thread) + own;
  int tile_row, tile_column;
  by_tiles.split(static_cast<int>(blockIdx.x), tile_row, tile_column);
  const int p = tile_row * kRows + static_cast<int>(row);
  const int q = (tile_column * kGroups + static_cast<int>(group)) * kColumns;
  if (c >= size.c || p >= size.p || q >= size.q) return;

  Vec<float, kN> acc[kColumns];
#pragma unroll
  for (int i = 0; i < kColumns; ++i) acc[i] = Vec<float, kN>::all(0.f);
#pragma unroll
  for (int r = 0; r < kWindow; ++r) {
    const int in_row = p + r - size.pad_top;
    if (in_row < 0 || in_row >= size.h) continue;
    const float* from = x + (int64_t{blockIdx.z} * size.h + in_row) * size.w * size.c + c;
    Vec<float, kN> in[kInputs];
#pragma unroll
    for (int j = 0; j < kInputs; ++j) {
      const int column = q + j - size.pad_left;
      in[j] = column >= 0 && column < size.w ? load<kN>(from + int64_t{column} * size.c)
                                             : Vec<float, kN>::all(0.f);
    }
#pragma unroll
    for (int s = 0; s < kWindow; ++s) {
      const Vec<float, kN> weight = load<kN>(taps + (r * kWindow + s) * kPitch<kChannels>);
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
#pragma unroll
        for (int j = 0; j < kN; ++j) acc[i][j] += in[i + s][j] * weight[j];
      }
    }
  }
  float* to = y + ((int64_t{blockIdx.z} * size.p + p) * size.q + q) * size.c + c;
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
    if (q + i < size.q) store(to + int64_t{i} * size.c, acc[i]);
  }
}

}  // namespace

void depthwise_step4(const Conv2dProblem& a, const float* x, const float* w, float* y,
                     Stream stream) {
  const int64_t across = ceil_div(a.q, kGroups * kColumns), down = ceil_div(a.p, kRows);
  const dim3 grid(static_cast<unsigned>(across * down),
                  static_cast<unsigned>(ceil_div(a.c, kChannels)), static_cast<unsigned>(a.n));
  launch(step4, grid, dim3(kVectors, kGroups, kRows), kWeightBytes<kChannels>, stream, Sizes(a),
         Divider(across), x, w, y);
}

}  // namespace fc::cuda::ladder
