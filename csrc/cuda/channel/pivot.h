// Sums around a pivot, a value that the data has: what is added is the spread, not the mean.
#pragma once

#include "cuda/device/platform.h"

namespace fc::cuda {

template <class T>
FC_DEVICE bool is_finite(T a) {
  return a - a == 0;
}

// Around 0 where the value would make inf - inf.
FC_DEVICE float pivot_of(float a) { return is_finite(a) ? a : 0.f; }

}  // namespace fc::cuda
