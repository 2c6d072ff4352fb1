// Where results go and what happens to them on the way: act(acc * scale + shift + residual).
#pragma once

#include "cuda/device/divide.h"
#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

// Row m of a matrix product as a place in memory: m = (n, i, j) lies at n*pitch0 + i*pitch1 +
// j*pitch2.
struct OutputRows {
  int rows;
  int64_t pitch0, pitch1, pitch2;
  Divider by_image, by_line;

  FC_DEVICE int64_t offset(int m) const {
    int n, rest, i, j;
    by_image.split(m, n, rest);
    by_line.split(rest, i, j);
    return n * pitch0 + i * pitch1 + j * pitch2;
  }
};

inline OutputRows plain_rows(int64_t rows, int64_t pitch) {
  return {static_cast<int>(rows), pitch, 0, 0, Divider(1), Divider(1)};
}

// An Epilogue as kernels hold it. residual lies as the output does; sums is what a block writes.
template <class T>
struct StoredThrough {
  const T* scale = nullptr;     // (columns,) or null
  const T* shift = nullptr;     // (columns,) or null
  const T* residual = nullptr;  // or null
  Act act;

  StoredThrough() = default;
  explicit StoredThrough(const Epilogue<T>& e)
      : scale(e.scale), shift(e.shift), residual(e.residual), act(e.act) {}

  // of kVec neighbouring columns: acc * scale + shift
  template <int kVec>
  FC_DEVICE void scale_and_shift(Vec<float, kVec>& v, int column) const {
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      if (scale) v[i] *= widen(scale[column + i]);
      if (shift) v[i] += widen(shift[column + i]);
    }
  }
  // the rest, and the store
  template <int kVec>
  FC_DEVICE void finish(const Vec<float, kVec>& value, T* out, int64_t offset) const {
    Vec<float, kVec> v[1] = {value};
    if (residual) {
      const Vec<float, kVec> r = widen(load<kVec>(residual + offset));
#pragma unroll
      for (int i = 0; i < kVec; ++i) v[0][i] += r[i];
    }
    activate(act, v);
    store(out + offset, narrow<T>(v[0]));
  }
};

// The result of a matrix product. With several splits of the sum, each writes its part to `parts`
// (splits, rows, columns), and reduce_splits does the rest.
template <class T>
struct Output {
  T* base;
  OutputRows place;
  int columns;
  bool vectors;  // four columns may be stored at once
  StoredThrough<T> through;
  double* sums;  // (row tiles, 2, pitch_sums) of this launch, or null
  int pitch_sums;
  float* parts;  // or null
};

}  // namespace fc::cuda
