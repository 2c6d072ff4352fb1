// sum_l a[l] * b[l], in an order that the length alone fixes.
#pragma once

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

template <class T>
T dot(const T* a, const T* b, int64_t count) {
  constexpr int kChains = 4;  // independent sums hide the latency of madd
  Vec<T> acc[kChains] = {};
  int64_t l = 0;
  for (; l + kChains * kVw<T> <= count; l += kChains * kVw<T>) {
#pragma GCC unroll 4
    for (int i = 0; i < kChains; ++i) {
      acc[i] = madd<T>(load(a + l + i * kVw<T>), load(b + l + i * kVw<T>), acc[i]);
    }
  }
  for (; l + kVw<T> <= count; l += kVw<T>) acc[0] = madd<T>(load(a + l), load(b + l), acc[0]);
  const Vec<T> lanes = (acc[0] + acc[1]) + (acc[2] + acc[3]);
  T total = 0;
  for (int i = 0; i < kVw<T>; ++i) total += lanes[i];
  for (; l < count; ++l) total += a[l] * b[l];
  return total;
}

}  // namespace
}  // namespace fc::FC_ISA
