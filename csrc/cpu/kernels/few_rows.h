// Products whose result has few rows: what gemm_dots.cpp and gemm_combine.cpp share. Packing B
// would cost more than multiplying by it.
#pragma once

#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"

namespace fc::FC_ISA {
namespace {

// up to so many; more are worth packing B for
constexpr int64_t kFewRows = 16;

template <class T>
bool has_few_rows(const GemmJob<T>& job) {
  const Target<T>& c = job.c;  // its rows at equal distances, whatever the image
  const bool even = c.d1 == 1 && (c.first_row + job.m <= c.d2 || c.s0 == c.d2 * c.s2);
  return job.m <= kFewRows && job.groups == 1 && !job.a_by_k && job.k > 0 && job.a.d1 == 1 &&
         job.a.s1 == 0 && even && !job.a.prologue.scale && !job.packed_b;
}

// The epilogue on the columns [first, first + count) of all rows, v (m, ld), and storing them.
template <class T>
void finish_few_rows(const GemmJob<T>& job, int64_t first, int64_t count, T* v, int64_t ld) {
  const Epilogue<T>& e = job.epilogue;
  if (e.sums) {
    zero(e.sums + first, count);
    zero(e.sums + job.n + first, count);
  }
  for (int64_t i = 0; i < job.m; ++i) {
    T* row = v + i * ld;
    T* c = job.c.base + job.c.offset + (job.c.first_row + i) * job.c.s2 + first;
    if (job.accumulate) affine_row<T>(row, count, nullptr, nullptr, c);
    finish_row<T>(e, first, job.n, count, e.residual ? e.residual + (c - job.c.base) : nullptr,
                  row);
    copy(c, row, count);
  }
}

}  // namespace
}  // namespace fc::FC_ISA
