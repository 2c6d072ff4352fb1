// c (m, n) = epilogue(op(a) (m, k) @ op(b) (k, n)), row-major; op transposes.
#pragma once

#include "conv2d.h"
#include "cuda/stream.h"

namespace fc::cuda {

struct GemmSizes {
  int64_t m, n, k;
  bool trans_a, trans_b;  // a lies as (k, m), b as (n, k)
  // elements from one line of a, b, c to the next; 0: as many as it has
  int64_t pitch_a = 0, pitch_b = 0, pitch_c = 0;

  int64_t line_a() const { return pitch_a ? pitch_a : trans_a ? m : k; }
  int64_t line_b() const { return pitch_b ? pitch_b : trans_b ? k : n; }
  int64_t line_c() const { return pitch_c ? pitch_c : n; }
};

// Bytes; sums: whether the epilogue wants column sums.
int64_t gemm_workspace(const GemmSizes& sizes, bool sums);

// prologue: on a, whose contiguous index runs over its channels; with `on_b`, on b.
template <class T>
void gemm(const GemmSizes& sizes, const T* a, const T* b, T* c, const Prologue<T>& prologue,
          bool on_b, const Epilogue<T>& epilogue, void* workspace, Stream stream);

}  // namespace fc::cuda
