// Softmax over the rows of x (rows, c); m = max of the row, s = sum e^(x - m):
//
//   softmax        y = e^(x - m) / s                    gx = y * (gy - sum gy*y)
//   log-softmax    y = x - m - log s                    gx = gy - e^y * sum gy
#include "cuda/loss/loss.h"
#include "cuda/loss/row_plan.h"

namespace fc::cuda {
namespace {

template <class Plan, bool kLog, class T>
__global__ void __launch_bounds__(Plan::Team::kBlockThreads)
    softmax_kernel(const Matrices<T, 1> in, T* y) {
  const typename Plan::template Row<T, 1> row(in, int64_t{blockIdx.x} * Plan::Team::kRows);
  const ExpSum s = exp_sum(row);
  const float log_sum = ::logf(s.sum), scale = 1.f / s.sum;
  row.write(y,
            [&](int, float x) { return kLog ? x - s.top - log_sum : ::expf(x - s.top) * scale; });
}

template <class Plan, bool kLog, class T>
__global__ void __launch_bounds__(Plan::Team::kBlockThreads)
    softmax_gradient_kernel(const Matrices<T, 2> in, T* gx) {
  const typename Plan::template Row<T, 2> row(in, int64_t{blockIdx.x} * Plan::Team::kRows);
  float sum = 0;
  row.scan([&](int, float gy, float y) { sum += kLog ? gy : gy * y; });
  sum = Plan::Team::reduce(sum, Plus());
  row.write(gx,
            [&](int, float gy, float y) { return kLog ? gy - ::expf(y) * sum : y * (gy - sum); });
}

// kernel(plan) for all rows of in
template <class T, int kInputs, class Kernel>
void launch_on_rows(const Matrices<T, kInputs>& in, T* out, Stream stream, Kernel kernel) {
  with_plan(in.c, [&](auto plan) {
    using Plan = decltype(plan);
    launch(kernel(plan), blocks_for(in.rows, Plan::Team::kRows), Plan::Team::kBlockThreads,
           Plan::template shared_bytes<T, kInputs>(in.c), stream, in, out);
  });
}

}  // namespace

template <class T>
void softmax_fwd(const T* x, T* y, int64_t rows, int c, bool log, Stream stream) {
  if (rows == 0 || c == 0) return;
  launch_on_rows(matrices({x}, rows, c, y), y, stream, [=](auto plan) {
    using Plan = decltype(plan);
    return log ? softmax_kernel<Plan, true, T> : softmax_kernel<Plan, false, T>;
  });
}

template <class T>
void softmax_bwd(const T* gy, const T* y, T* gx, int64_t rows, int c, bool log, Stream stream) {
  if (rows == 0 || c == 0) return;
  launch_on_rows(matrices({gy, y}, rows, c, gx), gx, stream, [=](auto plan) {
    using Plan = decltype(plan);
    return log ? softmax_gradient_kernel<Plan, true, T> : softmax_gradient_kernel<Plan, false, T>;
  });
}

template void softmax_fwd(const float*, float*, int64_t, int, bool, Stream);
template void softmax_bwd(const float*, const float*, float*, int64_t, int, bool, Stream);

}  // namespace fc::cuda
