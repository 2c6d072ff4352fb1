// Launcher of dropout. Pointers are of the device; size in elements.
#pragma once

#include <cstdint>

#include "cuda/stream.h"

namespace fc::cuda {

struct DropoutRule {
  uint64_t seed, offset;  // of the Philox stream
  uint32_t threshold;     // of the upper 24 bits of a word
  float keep;             // 1 - p
  int64_t group;          // elements that share a word
};

// y[i] = x[i] / keep or 0; y may be x
template <class T>
void dropout(const T* x, T* y, int64_t size, const DropoutRule& rule, Stream stream);

}  // namespace fc::cuda
