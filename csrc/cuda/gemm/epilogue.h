// act(acc * scale[k] + shift[k] + residual): what kernels do with a vector of channels before it is
// stored, and, without a residual, with the input as it is loaded (prologue).
#pragma once

#include "conv2d.h"
#include "cuda/device/dtype.h"

namespace fc::cuda {

// scale and shift of N channels.
template <int N>
struct Affine {
  Vec<float, N> scale, shift;

  FC_DEVICE Vec<float, N> operator()(Vec<float, N> v) const {
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] = v[i] * scale[i] + shift[i];
    return v;
  }
};

// Of channels k .. k + N - 1; null pointers are 1 and 0.
template <int N, class T>
FC_DEVICE Affine<N> load_affine(const T* scale, const T* shift, int k) {
  return {scale ? widen(load<N>(scale + k)) : Vec<float, N>::all(1.f),
          shift ? widen(load<N>(shift + k)) : Vec<float, N>::all(0.f)};
}

// An activation as kernels are given it. Those that only clamp need no branch per code:
// comparisons so that NaN passes through.
struct Act {
  int code;
  float alpha, beta;
  bool clamps;
  float low, high;

  __host__ __device__ Act(const Activation& act = Activation())
      : code(act.code),
        alpha(static_cast<float>(act.alpha)),
        beta(static_cast<float>(act.beta)),
        clamps(code == kIdentity || code == kRelu || code == kRelu6),
        low(code == kIdentity ? -HUGE_VALF : 0.f),
        high(code == kRelu6 ? 6.f : HUGE_VALF) {}

  FC_DEVICE float clamp(float x) const { return x < low ? low : x > high ? high : x; }
};

// In place. The code of all activations is long, so it stands in a loop that is not unrolled; the
// vectors rotate through v[0], since registers have no index.
template <int kCount, int N>
FC_DEVICE void activate(const Act& act, Vec<float, N> (&v)[kCount]) {
  if (act.clamps) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
#pragma unroll
      for (int i = 0; i < N; ++i) v[j][i] = act.clamp(v[j][i]);
    }
    return;
  }
#pragma unroll 1
  for (int j = 0; j < kCount; ++j) {
    Vec<float, N> first = v[0];
#pragma unroll
    for (int i = 0; i < N; ++i) first[i] = act_forward(act.code, act.alpha, act.beta, first[i]);
#pragma unroll
    for (int k = 0; k + 1 < kCount; ++k) v[k] = v[k + 1];
    v[kCount - 1] = first;
  }
}

}  // namespace fc::cuda
