// sums[i] = sum_t parts[t][i]: a block takes 32 columns; its warps take every eighth tile each, and
// their results are added in the warps' order.
#include "cuda/device/launch.h"
#include "cuda/device/warp.h"
#include "cuda/gemm/column_sums.h"

namespace fc::cuda {
namespace {

constexpr int kWarps = kBlock / kWarp;

__global__ void __launch_bounds__(kBlock)
    column_sums_kernel(const double* parts, double* sums, int64_t tiles, int64_t columns) {
  double* const scratch = shared_memory<double>();  // (kWarps, kWarp)
  const int lane = lane_of_thread(), warp = warp_of_thread();
  const int64_t column = int64_t{blockIdx.x} * kWarp + lane;
  double total = 0;
  if (column < columns) {
    for (int64_t t = warp; t < tiles; t += kWarps) total += parts[t * columns + column];
  }
  scratch[warp * kWarp + lane] = total;
  __syncthreads();
  if (warp != 0 || column >= columns) return;
  for (int w = 1; w < kWarps; ++w) total += scratch[w * kWarp + lane];
  sums[column] = total;
}

}  // namespace

void add_column_sums(const double* parts, double* sums, int64_t tiles, int64_t columns,
                     Stream stream) {
  if (columns == 0) return;
  launch(column_sums_kernel, dim3(static_cast<unsigned>(ceil_div(columns, kWarp))), kBlock,
         kBlock * sizeof(double), stream, parts, sums, tiles, columns);
}

}  // namespace fc::cuda
