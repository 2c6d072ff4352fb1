// Neighbouring pixels of a row into registers, behind the prologue: act(x * scale + shift) inside
// of the image, 0 outside.
#pragma once

#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

// Prologue<T> as kernels are given it.
template <class T>
struct InputMap {
  const T *scale, *shift;
  Act act;

  InputMap(const Prologue<T>& prologue)
      : scale(prologue.scale), shift(prologue.shift), act(prologue.act) {}
};

// row: of the channel; columns column .. column + kCount - 1 of `columns`, `pitch` elements apart.
template <bool kPrologue, int N, class T, int kCount>
FC_DEVICE void load_pixels(const T* row, int column, int columns, int pitch,
                           const Affine<N>& affine, const Act& act, Vec<float, N> (&v)[kCount]) {
  const T* from = row + int64_t{column} * pitch;
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const int at = column + j;
    v[j] = at >= 0 && at < columns ? widen(load<N>(from + int64_t{j} * pitch))
                                   : Vec<float, N>::all(0.f);
    if constexpr (kPrologue) v[j] = affine(v[j]);
  }
  if constexpr (kPrologue) {
    activate(act, v);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const int at = column + j;
      if (at < 0 || at >= columns) v[j] = Vec<float, N>::all(0.f);
    }
  }
}

}  // namespace fc::cuda
