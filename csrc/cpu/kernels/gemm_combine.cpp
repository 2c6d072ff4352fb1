// C[i] = epilogue(sum_l A[i,l] * B[l]), rows of B combined into few rows of C: the input gradient
// of a linear layer on few images.
//
// A task has some columns of all rows of C in the first-level cache; the rows of B pass by, kSteps
// at a time, and are read once.
//
// Error bound: as tile.h, c = 1 (L products in order).
#include "cpu/kernels/few_rows.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int kR = 8;      // rows of C, at most, that share what is loaded of B
constexpr int kSteps = 8;  // rows of B
constexpr int64_t kTaskColumns = 512;

template <class T>
bool fits(const GemmJob<T>& job) {
  // B is a matrix: all of its rows on one line
  return has_few_rows(job) && job.b_by_k && job.b.d2 >= job.k && is_pixels(job.b, job.n);
}

// sums[i*kTaskColumns + j] += sum over S rows of a[i*lda + s] * b[s*ldb + j], for R rows
template <class T, int R, int S>
void combine(const T* a, int64_t lda, const T* b, int64_t ldb, int64_t columns, T* sums) {
  const auto step = [&](int64_t j, auto get) {
    Vec<T> bv[S];
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      prefetch(b + (s + S) * ldb + j);
      bv[s] = get(b + s * ldb + j);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      T* to = sums + i * kTaskColumns + j;
      Vec<T> sum = load(to);
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) sum = madd<T>(broadcast(a[i * lda + s]), bv[s], sum);
      store(to, sum);
    }
  };
  int64_t j = 0;
  for (; j + kVw<T> <= columns; j += kVw<T>) step(j, [](const T* p) { return load(p); });
  if (j < columns) step(j, [part = Part<T>(columns - j)](const T* p) { return part.load(p); });
}

template <class T, int S, int R = kR>
void combine_rows(int64_t rows, const T* a, int64_t lda, const T* b, int64_t ldb, int64_t columns,
                  T* sums) {
  if constexpr (R > 1) {
    if (rows < R) return combine_rows<T, S, R - 1>(rows, a, lda, b, ldb, columns, sums);
  }
  combine<T, R, S>(a, lda, b, ldb, columns, sums);
}

template <class T>
void product(const GemmJob<T>& job) {
  const Source<T>&a = job.a, &b = job.b;
  const T *a0 = a.base + a.offset + a.first_row * a.s2, *b0 = b.base + b.offset;
  const int64_t blocks = ceil_div(job.m, kR), tasks = ceil_div(job.n, kTaskColumns);
  const auto combine_columns = [&](int64_t first, int64_t count, T* sums) {
    zero(sums, kFewRows * kTaskColumns);
    for (int64_t l = 0; l < job.k;) {
      const bool whole = l + kSteps <= job.k;
      const T* row = b0 + (b.first_row + l) * b.s2 + first;
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t i = job.m * block / blocks, rows = job.m * (block + 1) / blocks - i;
        const T* from = a0 + i * a.s2 + l;
        T* to = sums + i * kTaskColumns;
        whole ? combine_rows<T, kSteps>(rows, from, a.s2, row, b.s2, count, to)
              : combine_rows<T, 1>(rows, from, a.s2, row, b.s2, count, to);
      }
      l += whole ? kSteps : 1;
    }
  };
  parallel(tasks, grain_for(job.m * kTaskColumns * job.k / kVw<T>),
           [&](int64_t begin, int64_t end, int) {
             for (int64_t task = begin; task < end; ++task) {
               const int64_t first = task * kTaskColumns;
               const int64_t count = least(job.n - first, kTaskColumns);
               alignas(64) T sums[kFewRows * kTaskColumns];
               combine_columns(first, count, sums);
               finish_few_rows(job, first, count, sums, kTaskColumns);
             }
           });
}

}  // namespace

bool is_combination(const GemmJob<float>& job) { return fits(job); }
bool is_combination(const GemmJob<double>& job) { return fits(job); }
void combine_product(const GemmJob<float>& job) { product(job); }
void combine_product(const GemmJob<double>& job) { product(job); }

}  // namespace fc::FC_ISA
