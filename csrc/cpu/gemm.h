// The matrix product under linear, matmul and every convolution but depthwise:
//
//   C[i,j] = epilogue(sum_l A[i,l] * B[l,j]),  i < m, j < n, l < k, for each group
//
// A and B are read through a Source: a plain matrix, or an image seen as the matrix of its windows,
// which is then gathered while it is packed and never stored.
#pragma once

#include <cstdint>

#include "conv2d.h"

namespace fc {

// A matrix in memory or a virtual one. Row i = (i0*d1 + i1)*d2 + i2 and column (t1*taps2 + t2)*run
// + c are the element
//   base[offset + group*group_stride + i0*s0 + h*s1 + w*s2 + c]
//   h = i1*mul1 + off1 + t1*step1,  w = i2*mul2 + off2 + t2*step2
// and 0 where h is outside [0, h_end) or w outside [0, w_end).
template <class T>
struct Source {
  const T* base = nullptr;
  int64_t offset = 0, group_stride = 0;
  int64_t first_row = 0;  // row 0 of the product is this row
  int64_t d1 = 1, d2 = 1;
  int64_t s0 = 0, s1 = 0, s2 = 0;
  int64_t h_end = 1, w_end = 1;
  int64_t mul1 = 1, mul2 = 1, off1 = 0, off2 = 0, step1 = 0, step2 = 0;
  int64_t taps2 = 1, run = 1;
  Prologue<T> prologue;  // channel: group*run + c
};

// base[row*ld + c], c < columns
template <class T>
Source<T> matrix_source(const T* base, int64_t rows, int64_t columns, int64_t ld,
                        int64_t group_stride = 0) {
  Source<T> s;
  s.base = base;
  s.group_stride = group_stride;
  s.d2 = s.w_end = rows > 0 ? rows : 1;
  s.s2 = ld;
  s.run = columns;
  return s;
}

// Where row i = (i0*d1 + i1)*d2 + i2 of the result begins:
//   base + offset + group*group_stride + i0*s0 + i1*s1 + i2*s2
template <class T>
struct Target {
  T* base = nullptr;
  int64_t offset = 0, group_stride = 0;
  int64_t first_row = 0;
  int64_t d1 = 1, d2 = 1;
  int64_t s0 = 0, s1 = 0, s2 = 0;
};

template <class T>
Target<T> matrix_target(T* base, int64_t rows, int64_t ld, int64_t group_stride = 0) {
  Target<T> t;
  t.base = base;
  t.group_stride = group_stride;
  t.d2 = rows > 0 ? rows : 1;
  t.s2 = ld;
  return t;
}

template <class T>
struct GemmJob {
  int64_t m = 0, n = 0, k = 0, groups = 1;
  Source<T> a;
  bool a_by_k = false;  // rows of a are l, columns i (a transposed matrix); else rows i, columns l
  Source<T> b;
  bool b_by_k = true;  // rows of b are l, columns j; else rows j, columns l (a transposed matrix)
  Target<T> c;
  const T* packed_b = nullptr;  // b as the way's pack left it, or null: packed on the way
  bool accumulate = false;      // C += ...
  Epilogue<T> epilogue;         // scale, shift, sums (groups*n,); residual addressed as c
};

template <class T>
struct GemmFunctions {
  // Bytes that run needs for this many threads.
  int64_t (*workspace)(const GemmJob<T>& job, int threads);
  void (*run)(const GemmJob<T>& job, int threads, void* workspace);
  // The same where each group is one channel: m rows and n = 1, or a_by_k, m = 1 and n the taps; no
  // accumulate or prologue.
  int64_t (*depthwise_workspace)(const GemmJob<T>& job, int threads);
  void (*depthwise)(const GemmJob<T>& job, int threads, void* workspace);
  int64_t (*depthwise_packed_elements)(const GemmJob<T>& job);
  void (*depthwise_pack)(const GemmJob<T>& job, T* packed);
  // The same for windows of 3 x 3 with stride 1 and one group, by Winograd's F(4x4, 3x3); no
  // accumulate.
  int64_t (*winograd_workspace)(const GemmJob<T>& job, int threads);
  void (*winograd)(const GemmJob<T>& job, int threads, void* workspace);
  int64_t (*winograd_packed_elements)(const GemmJob<T>& job);
  void (*winograd_pack)(const GemmJob<T>& job, T* packed);
  // Elements of a packed b, and packing it: for a product without a_by_k.
  int64_t (*packed_elements)(const GemmJob<T>& job);
  void (*pack)(const GemmJob<T>& job, T* packed);
  // dst (rows, columns) = rows [row, row + rows) of the source
  void (*gather)(const Source<T>& source, int64_t row, int64_t rows, int64_t columns, T* dst);
  // y = act(y + residual), in place
  void (*finish)(T* y, int64_t count, const T* residual, Activation act);
};
struct GemmKernels {
  GemmFunctions<float> f32;
  GemmFunctions<double> f64;
};
namespace baseline {
GemmKernels gemm_kernels();
}
namespace avx2 {
GemmKernels gemm_kernels();
}
namespace avx512 {
GemmKernels gemm_kernels();
}

}  // namespace fc
