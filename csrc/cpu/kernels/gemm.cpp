// C[i,j] = epilogue(sum_l A[i,l] * B[l,j]): which of the ways (gemm_parts.h) a product takes.
#include "cpu/gemm.h"

#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
bool is_empty(const GemmJob<T>& job) {
  return job.m == 0 || job.n == 0 || job.groups == 0;
}

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  if (is_empty(job)) return 0;
  if (job.a_by_k) return reduce_workspace(job, threads);
  return is_dots(job) ? 0 : rows_workspace(job, threads);
}

template <class T>
void run(const GemmJob<T>& job, int threads, void* workspace) {
  if (is_empty(job)) {
    if (job.epilogue.sums) zero(job.epilogue.sums, 2 * job.groups * job.n);
    return;
  }
  if (job.a_by_k) return reduce_product(job, threads, workspace);
  if (is_dots(job)) return dots_product(job);
  rows_product(job, threads, workspace);
}

template <class T>
int64_t depth_workspace(const GemmJob<T>& job, int threads) {
  return job.a_by_k ? depthwise_wgrad_workspace(job, threads) : depthwise_workspace(job, threads);
}

template <class T>
void run_depthwise(const GemmJob<T>& job, int threads, void* workspace) {
  job.a_by_k ? depthwise_wgrad_product(job, threads, workspace)
             : depthwise_product(job, threads, workspace);
}

template <class T>
void gather(const Source<T>& source, int64_t row, int64_t rows, int64_t columns, T* dst) {
  parallel(rows, grain_for(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t first = 0; first < columns; first += kSlice<T>) {
      const int64_t count = columns - first < kSlice<T> ? columns - first : kSlice<T>;
      const Slice<T> slice(source, first, count);
      gather_slice(source, 0, slice, row + begin, end - begin, dst + begin * columns + first,
                   columns);
    }
  });
}

template <class T>
void finish(T* y, int64_t count, const T* residual, Activation act) {
  constexpr int64_t kBlock = 4096;
  parallel(ceil_div(count, kBlock), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * kBlock; i < end * kBlock && i < count; i += kBlock) {
      const int64_t n = count - i < kBlock ? count - i : kBlock;
      affine_row<T>(y + i, n, nullptr, nullptr, residual ? residual + i : nullptr);
      act_row(act, y + i, n);
    }
  });
}

template <class T>
GemmFunctions<T> functions() {
  return {workspace<T>,
          run<T>,
          depth_workspace<T>,
          run_depthwise<T>,
          depthwise_packed_elements,
          depthwise_pack,
          packed_b_elements,
          pack_b,
          gather<T>,
          finish<T>};
}

}  // namespace

GemmKernels gemm_kernels() { return {functions<float>(), functions<double>()}; }

}  // namespace fc::FC_ISA
