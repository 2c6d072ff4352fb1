// What happens between the accumulators and memory: v = act(v * scale + shift + residual).
#pragma once

#include "conv2d.h"
#include "cpu/kernels/act_block.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

// v = act(v), in place
template <class T>
inline void act_row(const Activation& act, T* v, int64_t count) {
  if (act.code != kIdentity) act_block(v, v, count, act);
}

// v = v * scale + shift + residual, in place; each operand may be null
template <class T>
inline void affine_row(T* v, int64_t count, const T* scale, const T* shift, const T* residual) {
  if (scale && shift) {
    for (int64_t i = 0; i < count; ++i) v[i] = v[i] * scale[i] + shift[i];
  } else if (scale) {
    for (int64_t i = 0; i < count; ++i) v[i] *= scale[i];
  } else if (shift) {
    for (int64_t i = 0; i < count; ++i) v[i] += shift[i];
  }
  if (residual) {
    for (int64_t i = 0; i < count; ++i) v[i] += residual[i];
  }
}

}  // namespace
}  // namespace fc::FC_ISA
