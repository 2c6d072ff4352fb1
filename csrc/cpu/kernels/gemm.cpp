// C[i,j] = epilogue(sum_l A[i,l] * B[l,j]): which of the ways (gemm_parts.h) a product takes.
#include "cpu/gemm.h"

#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
GemmWay<T> of(const GemmWays& ways) {
  if constexpr (sizeof(T) == 4) {
    return ways.f32;
  } else {
    return ways.f64;
  }
}

template <class T>
bool is_empty(const GemmJob<T>& job) {
  return job.m == 0 || job.n == 0 || job.groups == 0;
}

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  if (is_empty(job)) return 0;
  if (job.a_by_k) return of<T>(reduce_way()).workspace(job, threads);
  return is_dots(job) || is_combination(job) ? 0 : of<T>(rows_way()).workspace(job, threads);
}

template <class T>
void finish_empty(const GemmJob<T>& job) {
  if (job.epilogue.sums) zero(job.epilogue.sums, 2 * job.groups * job.n);
}

template <class T>
void run(const GemmJob<T>& job, int threads, void* workspace) {
  if (is_empty(job)) return finish_empty(job);
  if (job.a_by_k) return of<T>(reduce_way()).product(job, threads, workspace);
  if (is_dots(job)) return dots_product(job);
  if (is_combination(job)) return combine_product(job);
  of<T>(rows_way()).product(job, threads, workspace);
}

template <class T>
GemmWay<T> way_by_channels(const GemmJob<T>& job) {
  return of<T>(job.a_by_k ? depthwise_wgrad_way() : depthwise_way());
}

template <class T>
int64_t depthwise_workspace(const GemmJob<T>& job, int threads) {
  return is_empty(job) ? 0 : way_by_channels(job).workspace(job, threads);
}

template <class T>
void depthwise(const GemmJob<T>& job, int threads, void* workspace) {
  if (is_empty(job)) return finish_empty(job);
  way_by_channels(job).product(job, threads, workspace);
}

template <class T>
GemmWay<T> winograd_way_of(const GemmJob<T>& job) {
  return of<T>(job.a_by_k ? winograd_wgrad_way() : winograd_way());
}

template <class T>
int64_t winograd_workspace(const GemmJob<T>& job, int threads) {
  return is_empty(job) ? 0 : winograd_way_of(job).workspace(job, threads);
}

template <class T>
void winograd(const GemmJob<T>& job, int threads, void* workspace) {
  if (is_empty(job)) return finish_empty(job);
  winograd_way_of(job).product(job, threads, workspace);
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
  const GemmWay<T> rows = of<T>(rows_way()), channels = of<T>(depthwise_way());
  const GemmWay<T> tiles = of<T>(winograd_way());
  return {workspace<T>,
          run<T>,
          depthwise_workspace<T>,
          depthwise<T>,
          channels.packed_elements,
          channels.pack,
          winograd_workspace<T>,
          winograd<T>,
          tiles.packed_elements,
          tiles.pack,
          rows.packed_elements,
          rows.pack,
          gather<T>,
          finish<T>};
}

}  // namespace

GemmKernels gemm_kernels() { return {functions<float>(), functions<double>()}; }

}  // namespace fc::FC_ISA
