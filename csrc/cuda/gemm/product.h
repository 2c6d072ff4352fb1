// A matrix product of any problem: which tile, how many splits, how much workspace. All of it
// depends on the sizes alone, so that results do, too.
#pragma once

#include "cuda/gemm/product_kernel.h"
#include "cuda/gemm/sum_rows.h"

namespace fc::cuda {

using LargeTile = Tile<128, 128, 8, 8, 2, 2>;
using MediumTile = Tile<128, 64, 8, 4, 2, 2>;
using SmallTile = Tile<64, 64, 4, 4, 2, 3>;

struct ProductPlan {
  int block_m, block_n;
  int64_t row_tiles, column_tiles;
  Splits splits;

  // rows, columns: of the largest batch. A product that yields column sums may not be split.
  ProductPlan(int64_t rows, int64_t columns, int64_t depth, int64_t batches, bool vectors,
              bool may_split) {
    const auto blocks = [&](int64_t m, int64_t n) {
      return ceil_div(rows, m) * ceil_div(columns, n) * batches;
    };
    // the largest tile, which reads least, that still gives work to every multiprocessor
    const bool large = vectors && columns > 64 && blocks(128, 128) >= kBlocksWanted;
    const bool medium = vectors && !large && blocks(128, 64) >= kBlocksWanted;
    block_m = large || medium ? 128 : 64;
    block_n = large ? 128 : 64;
    row_tiles = ceil_div(rows, block_m);
    column_tiles = ceil_div(columns, block_n);
    const int64_t turns = ceil_div(depth, kTileK);
    splits.turns = static_cast<int>(turns);
    const int64_t there = row_tiles * column_tiles * batches;
    if (!may_split || there == 0 || there >= kBlocksWanted || turns < 2 * kLeastTurns) return;
    int64_t count = ceil_div(2 * kBlocksWanted, there);
    if (count > turns / kLeastTurns) count = turns / kLeastTurns;
    splits.turns = static_cast<int>(ceil_div(turns, count));
    splits.count = static_cast<int>(ceil_div(turns, splits.turns));
  }

  int64_t parts_bytes(int64_t rows, int64_t columns, int64_t batches) const {
    return splits.count == 1
               ? 0
               : splits.count * batches * rows * columns * static_cast<int64_t>(sizeof(float));
  }
  // Of column sums: those of the row tiles (row_tiles, 2, all columns), of the plan or of its
  // scalar twin, which has more tiles, and what adding them up needs.
  static int64_t tile_sums_bytes(int64_t rows, int64_t columns) {
    return ceil_div(rows, 64) * 2 * columns * static_cast<int64_t>(sizeof(double));
  }
  static int64_t sums_bytes(int64_t rows, int64_t columns) {
    return tile_sums_bytes(rows, columns) + sum_rows_workspace(ceil_div(rows, 64), 2 * columns);
  }

  // For operands that do not begin where vectors may. The splits stay: they decide about bits.
  ProductPlan scalar(int64_t rows, int64_t columns) const {
    ProductPlan plan = *this;
    plan.block_m = plan.block_n = 64;
    plan.row_tiles = ceil_div(rows, 64);
    plan.column_tiles = ceil_div(columns, 64);
    return plan;
  }

 private:
  static constexpr int64_t kBlocksWanted = 132;  // of an H100 or H200; more is no harm elsewhere
  static constexpr int64_t kLeastTurns = 16;  // of a split: what it costs to store and add its part
};

template <class Problem>
void run_product(const Problem& problem, const ProductPlan& plan, int64_t rows, int64_t columns,
                 int64_t batches, bool vectors, Stream stream) {
  if (rows == 0 || columns == 0 || batches == 0) return;
  const int m = static_cast<int>(rows), n = static_cast<int>(columns);
  const int z = static_cast<int>(batches);
  if constexpr (Problem::A::kVec > 1) {
    if (plan.block_n == 128) {
      launch_product<LargeTile>(problem, m, n, z, plan.splits, stream);
    } else if (plan.block_m == 128) {
      launch_product<MediumTile>(problem, m, n, z, plan.splits, stream);
    } else {
      launch_product<SmallTile>(problem, m, n, z, plan.splits, stream);
    }
  } else {
    launch_product<SmallTile>(problem, m, n, z, plan.splits, stream);
  }
  if (plan.splits.count > 1) launch_reduce_splits(problem, m, n, z, plan.splits, vectors, stream);
}

// sums (2, columns) of what the row tiles wrote at the beginning of the workspace.
inline void add_tile_sums(const ProductPlan& plan, int64_t rows, int64_t columns, void* workspace,
                          double* sums, Stream stream) {
  if (columns == 0) return;
  if (plan.row_tiles == 0) return fill_zero(sums, 2 * columns * sizeof(double), stream);
  void* const scratch = static_cast<char*>(workspace) + ProductPlan::tile_sums_bytes(rows, columns);
  sum_rows(static_cast<const double*>(workspace), plan.row_tiles, 2 * columns, 2 * columns, sums,
           scratch, stream);
}

}  // namespace fc::cuda
