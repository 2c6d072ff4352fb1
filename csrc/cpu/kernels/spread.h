// One channel of every group of a vector, in all lanes of the group.
#pragma once

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

// lane l = v[l / kGroup * kGroup + kPlane]
template <class T, int kGroup, int kPlane>
inline Vec<T> spread(Vec<T> v) {
#if defined(__clang__)
  if constexpr (kVw<T> == 16) {
#define FC_AT(l) ((l) / kGroup * kGroup + kPlane)
    return __builtin_shufflevector(v, v, FC_AT(0), FC_AT(1), FC_AT(2), FC_AT(3), FC_AT(4), FC_AT(5),
                                   FC_AT(6), FC_AT(7), FC_AT(8), FC_AT(9), FC_AT(10), FC_AT(11),
                                   FC_AT(12), FC_AT(13), FC_AT(14), FC_AT(15));
  } else if constexpr (kVw<T> == 8) {
    return __builtin_shufflevector(v, v, FC_AT(0), FC_AT(1), FC_AT(2), FC_AT(3), FC_AT(4), FC_AT(5),
                                   FC_AT(6), FC_AT(7));
  } else if constexpr (kVw<T> == 4) {
    return __builtin_shufflevector(v, v, FC_AT(0), FC_AT(1), FC_AT(2), FC_AT(3));
  } else {
    return __builtin_shufflevector(v, v, FC_AT(0), FC_AT(1));
#undef FC_AT
  }
#else
  decltype(v < v) at;  // integers of the lanes' width; folded into a constant
  for (int l = 0; l < kVw<T>; ++l) at[l] = l / kGroup * kGroup + kPlane;
  return __builtin_shuffle(v, at);
#endif
}

}  // namespace
}  // namespace fc::FC_ISA
