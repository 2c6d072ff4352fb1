// loss = sum partial[i] / divisor: the second stage of a reduced loss, one block.
#pragma once

#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/device/warp.h"
#include "cuda/loss/loss.h"

namespace fc::cuda {

template <class T>
__global__ void __launch_bounds__(kBlock)
    total_kernel(const double* partial, int64_t count, double divisor, T* loss) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kBlock) sum += partial[i];
  sum = block_reduce(sum, shared_memory<double>(), Plus());
  if (threadIdx.x == 0) loss[0] = narrow<T>(static_cast<float>(sum / divisor));
}

// Of `values` values, which may be none: their mean is NaN.
template <class T>
void total(const double* partial, int64_t count, int64_t values, Reduction reduction, T* loss,
           Stream stream) {
  const double divisor = reduction == Reduction::kMean ? static_cast<double>(values) : 1;
  launch(total_kernel<T>, 1, kBlock, kBlock / kWarp * sizeof(double), stream, partial, count,
         divisor, loss);
}

}  // namespace fc::cuda
