// The kernel of every matrix product: one tile of results per block.
//
// grid: x row tiles, y column tiles, z batch * splits. A batch is a product of its own (a group of
// a convolution, a phase of a stride): Problem(z) makes its loaders and its output.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/gemm/mainloop.h"
#include "cuda/gemm/store_tile.h"

namespace fc::cuda {

// How the sum over k is cut: split s takes `turns` turns of the main loop from s * turns on.
struct Splits {
  int count = 1, turns = 0;
};

template <class Tile, class Problem>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    product_kernel(const __grid_constant__ Problem problem, Splits splits) {
  using T = typename Problem::T;
  const int batch = static_cast<int>(blockIdx.z) / splits.count;
  const int split = static_cast<int>(blockIdx.z) % splits.count;
  const int m0 = static_cast<int>(blockIdx.x) * Tile::kBlockM;
  const int n0 = static_cast<int>(blockIdx.y) * Tile::kBlockN;
  // batches may differ in size: the grid is that of the largest
  if (m0 >= problem.rows(batch)) return;

  T* const ring = shared_memory<T>();
  float acc[Tile::kM][Tile::kN];
  const int depth = problem.depth(batch);
  const int k_begin = split * splits.turns * kTileK;
  const int k_end = splits.count == 1 ? depth : min(depth, k_begin + splits.turns * kTileK);
  mainloop<Tile, T>(problem.a(batch), problem.b(batch), m0, n0, k_begin, k_end, ring, acc);

  const Output<T> out = problem.output(batch);
  if (splits.count == 1) {
    store_tile<Tile>(acc, ring, out, static_cast<int>(blockIdx.x), n0);
  } else {
    Output<float> part{};
    part.place.rows = out.place.rows;
    part.place.pitch0 = out.columns;
    part.base = out.parts + int64_t{split} * out.place.rows * out.columns;
    part.columns = out.columns;
    part.vectors = out.vectors;
    store_tile<Tile>(acc, ring, part, static_cast<int>(blockIdx.x), n0);
  }
}

// What the splits wrote, added in their order, on its way to the output: kVec columns a thread.
template <class Problem, int kVec>
__global__ void __launch_bounds__(kBlock, 4)
    reduce_splits_kernel(const __grid_constant__ Problem problem, int splits, Divider by_pieces) {
  auto out = problem.output(static_cast<int>(blockIdx.y));
  const int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  const int64_t size = int64_t{out.place.rows} * out.columns;
  if (i * kVec >= size) return;
  Vec<float, kVec> v = load<kVec>(out.parts + i * kVec);
  for (int s = 1; s < splits; ++s) {
    const Vec<float, kVec> part = load<kVec>(out.parts + s * size + i * kVec);
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] += part[j];
  }
  int row, piece;
  by_pieces.split(static_cast<int>(i), row, piece);
  out.through.scale_and_shift(v, piece * kVec);
  out.through.finish(v, out.base, out.place.offset(row) + piece * kVec);
}

template <class Tile, class Problem>
void launch_product(const Problem& problem, int rows, int columns, int batches, Splits splits,
                    Stream stream) {
  constexpr int kRing =
      kRingElements<Tile, typename Problem::A, typename Problem::B, typename Problem::T> *
      static_cast<int>(sizeof(typename Problem::T));
  constexpr int kShared = kRing > kStagingBytes<Tile> ? kRing : kStagingBytes<Tile>;
  static_assert(kShared <= 64 << 10, "more than an sm_75 block may have");
  launch(
      product_kernel<Tile, Problem>,
      dim3(ceil_div(rows, Tile::kBlockM), ceil_div(columns, Tile::kBlockN), batches * splits.count),
      Tile::kThreads, kShared, stream, problem, splits);
}

template <class Problem>
void launch_reduce_splits(const Problem& problem, int rows, int columns, int batches, Splits splits,
                          bool vectors, Stream stream) {
  const auto run = [&](auto kernel, int vec) {
    const int64_t pieces = int64_t{rows} * (columns / vec);
    launch(kernel, dim3(static_cast<unsigned>(ceil_div(pieces, kBlock)), batches), kBlock, 0,
           stream, problem, splits.count, Divider(columns / vec));
  };
  if (vectors) {
    run(reduce_splits_kernel<Problem, kGroup>, kGroup);
  } else {
    run(reduce_splits_kernel<Problem, 1>, 1);
  }
}

}  // namespace fc::cuda
