// C[i,j] = epilogue(dot(A[i], B[j])): few rows of A, e.g. a linear layer on few images.
//
// Vectors run along l, in tiles of R rows of A x J rows of B, and B is read once for each R rows of
// A.
//
// Error bound: as tile.h, c = 1; each lane sums in order, then the lanes.
#include "cpu/kernels/few_rows.h"
#include "cpu/kernels/partial.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// rows of A and B in registers: 8 x 3 sums
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kR = 8;
#else
constexpr int kR = 4;
#endif
constexpr int kJ = 3;
// columns of a task: results wait in a buffer for the epilogue
constexpr int64_t kTaskColumns = 16 * kJ;

template <class T>
bool fits(const GemmJob<T>& job) {
  return has_few_rows(job) && !job.b_by_k;
}

// out[i*ld + j] = dot(a + i*lda, b + j*ldb)
template <class T, int R, int J>
void dot_tile(const T* a, int64_t lda, const T* b, int64_t ldb, int64_t k, T* out, int64_t ld) {
  Vec<T> acc[R][J] = {};
  const auto step = [&](auto get, int64_t l) {
    Vec<T> bv[J];
#pragma GCC unroll 4
    for (int j = 0; j < J; ++j) bv[j] = get(b + j * ldb + l);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const Vec<T> av = get(a + i * lda + l);
#pragma GCC unroll 4
      for (int j = 0; j < J; ++j) acc[i][j] = madd<T>(av, bv[j], acc[i][j]);
    }
  };
  int64_t l = 0;
  for (; l + kVw<T> <= k; l += kVw<T>) step([](const T* p) { return load(p); }, l);
  const int64_t rest = k - l;
  if (rest > 0) step([part = Part<T>(rest)](const T* p) { return part.load(p); }, l);
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < J; ++j) {
      T lanes[kVw<T>];
      store(lanes, acc[i][j]);
#pragma GCC unroll 4
      for (int half = kVw<T> / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
      }
      out[i * ld + j] = lanes[0];
    }
  }
}

template <class T, int R>
void dot_columns(const T* a, int64_t lda, const T* b, int64_t ldb, int64_t k, int64_t count, T* out,
                 int64_t ld) {
  int64_t j = 0;
  for (; j + kJ <= count; j += kJ) dot_tile<T, R, kJ>(a, lda, b + j * ldb, ldb, k, out + j, ld);
  for (; j < count; ++j) dot_tile<T, R, 1>(a, lda, b + j * ldb, ldb, k, out + j, ld);
}

template <class T, int R = kR>
void dot_rows(int64_t rows, const T* a, int64_t lda, const T* b, int64_t ldb, int64_t k,
              int64_t count, T* out, int64_t ld) {
  if constexpr (R > 1) {
    if (rows < R) return dot_rows<T, R - 1>(rows, a, lda, b, ldb, k, count, out, ld);
  }
  dot_columns<T, R>(a, lda, b, ldb, k, count, out, ld);
}

template <class T>
void product(const GemmJob<T>& job) {
  const Source<T>&a = job.a, &b = job.b;
  const T *a0 = a.base + a.offset + a.first_row * a.s2, *b0 = b.base + b.offset;
  const int64_t blocks = ceil_div(job.m, kR), tasks = ceil_div(job.n, kTaskColumns);
  parallel(tasks, grain_for(job.m * kTaskColumns * job.k / kVw<T>),
           [&](int64_t begin, int64_t end, int) {
             for (int64_t task = begin; task < end; ++task) {
               const int64_t first = task * kTaskColumns;
               const int64_t count = job.n - first < kTaskColumns ? job.n - first : kTaskColumns;
               T v[kFewRows * kTaskColumns];
               for (int64_t j = 0; j < count; j += kJ) {
                 const int64_t columns = count - j < kJ ? count - j : kJ;
                 for (int64_t block = 0; block < blocks; ++block) {
                   const int64_t i = job.m * block / blocks;
                   dot_rows<T>(job.m * (block + 1) / blocks - i, a0 + i * a.s2, a.s2,
                               b0 + (first + j) * b.s2, b.s2, job.k, columns,
                               v + i * kTaskColumns + j, kTaskColumns);
                 }
               }
               finish_few_rows(job, first, count, v, kTaskColumns);
             }
           });
}

}  // namespace

bool is_dots(const GemmJob<float>& job) { return fits(job); }
bool is_dots(const GemmJob<double>& job) { return fits(job); }
void dots_product(const GemmJob<float>& job) { product(job); }
void dots_product(const GemmJob<double>& job) { product(job); }

}  // namespace fc::FC_ISA
