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

// The epilogue on one row in memory: v are the channels [channel, channel + count) of `channels`.
// The sums += what the row adds to them; residual: of v, or null.
template <class T>
inline void finish_row(const Epilogue<T>& e, int64_t channel, int64_t channels, int64_t count,
                       const T* residual, T* v) {
  affine_row<T>(v, count, e.scale ? e.scale + channel : nullptr,
                e.shift ? e.shift + channel : nullptr, nullptr);
  for (int64_t j = 0; e.sums && j < count; ++j) {
    const double value = v[j];
    e.sums[channel + j] += value;
    e.sums[channels + channel + j] += value * value;
  }
  affine_row<T>(v, count, nullptr, nullptr, residual);
  act_row(e.act, v, count);
}

}  // namespace
}  // namespace fc::FC_ISA
