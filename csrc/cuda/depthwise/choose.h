// What decides which kernel a problem gets.
#pragma once

#include "conv2d.h"
#include "cuda/device/vector.h"

namespace fc::cuda {

constexpr int kChannels = 4;  // of a vector: 16 bytes of float32

template <int kCount>
struct ChannelsOfVector {
  static constexpr int value = kCount;
};

// Whether vectors of channels fit all of these arrays; null pointers do.
template <class... T>
bool all_fit(int64_t channels, const T*... p) {
  return (vectors_fit<kChannels>(p, channels) && ...);
}

// 10 * window + stride of the windows that are compiled, 0 for others.
inline int fixed_window(const Conv2dProblem& p) {
  const bool fixed = (p.r == 3 || p.r == 5 || p.r == 7) && p.s == p.r && p.stride_h <= 2 &&
                     p.stride_w == p.stride_h && p.dilation_h == 1 && p.dilation_w == 1;
  return fixed ? static_cast<int>(10 * p.r + p.stride_h) : 0;
}

}  // namespace fc::cuda
