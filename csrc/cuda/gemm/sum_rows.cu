// out[j] = sum_i partial[i, j], partial (rows, columns): a warp reads 32 neighbouring columns; the
// warps of a block, and if there are many rows also several blocks, share the rows.
#include <algorithm>

#include "cuda/device/divide.h"
#include "cuda/device/launch.h"
#include "cuda/gemm/sum_rows.h"

namespace fc::cuda {
namespace {

constexpr int kWarps = kBlock / kWarp;
constexpr int64_t kRowsOfBlock = 512, kMostBlocks = 256;

int64_t row_blocks(int64_t rows) { return std::min(ceil_div(rows, kRowsOfBlock), kMostBlocks); }

// grid (columns / 32, blocks of rows_each rows); out (blocks, columns)
template <class In, class Out>
__global__ void __launch_bounds__(kBlock)
    sum_rows_kernel(const In* partial, int64_t rows, int64_t rows_each, int64_t columns, int outer,
                    Divider by_inner, Out* out) {
  double* sums = shared_memory<double>();  // (kWarps, kWarp)
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t column = int64_t{blockIdx.x} * kWarp + lane;
  const int64_t first = blockIdx.y * rows_each;
  const int64_t last = first + rows_each < rows ? first + rows_each : rows;
  double sum = 0;
  if (column < columns) {
#pragma unroll 4
    for (int64_t i = first + warp; i < last; i += kWarps) sum += partial[i * columns + column];
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (warp > 0 || column >= columns) return;
  for (int i = 1; i < kWarps; ++i) sum += sums[i * kWarp + lane];
  int from_outer, from_inner;
  by_inner.split(static_cast<int>(column), from_outer, from_inner);
  out[blockIdx.y * columns + int64_t{from_inner} * outer + from_outer] = static_cast<Out>(sum);
}

template <class In, class Out>
void run(const In* partial, int64_t rows, int64_t blocks, int64_t columns, int64_t inner, Out* out,
         Stream stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div(columns, kWarp)), static_cast<unsigned>(blocks));
  launch(sum_rows_kernel<In, Out>, grid, kBlock, kBlock * sizeof(double), stream, partial, rows,
         ceil_div(rows, blocks), columns, static_cast<int>(columns / inner), Divider(inner), out);
}

}  // namespace

int64_t sum_rows_workspace(int64_t rows, int64_t columns) {
  const int64_t blocks = row_blocks(rows);
  return blocks > 1 ? blocks * columns * static_cast<int64_t>(sizeof(double)) : 0;
}

template <class In, class Out>
void sum_rows(const In* partial, int64_t rows, int64_t columns, int64_t inner, Out* out,
              void* workspace, Stream stream) {
  const int64_t blocks = row_blocks(rows);
  if (blocks == 1) return run(partial, rows, 1, columns, inner, out, stream);
  auto* sums = static_cast<double*>(workspace);  // (blocks, columns)
  run(partial, rows, blocks, columns, columns, sums, stream);
  run(sums, blocks, 1, columns, inner, out, stream);
}

template void sum_rows(const float*, int64_t, int64_t, int64_t, float*, void*, Stream);
template void sum_rows(const double*, int64_t, int64_t, int64_t, double*, void*, Stream);

}  // namespace fc::cuda
