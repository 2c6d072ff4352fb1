// Convolution with few channels per group: each on its own (depthwise), or groups of 2, 3, ... 8.
// Vectors run along the output's channels.
#pragma once

#include <cstdint>

#include "conv2d.h"

namespace fc {

enum class Direction { kFwd, kDgrad, kWgrad };

// workspace: workspace(p, direction, threads) bytes for num_threads() threads
template <class T>
struct LaneFunctions {
  int64_t (*workspace)(const Conv2dProblem& p, Direction direction, int threads);
  void (*fwd)(const Conv2dProblem& p, const T* x, const T* w, T* y, int threads, void* workspace,
              const Prologue<T>& prologue, const Epilogue<T>& epilogue);
  void (*dgrad)(const Conv2dProblem& p, const T* gy, const T* w, T* gx, int threads,
                void* workspace);
  void (*wgrad)(const Conv2dProblem& p, const T* x, const T* gy, T* gw, int threads,
                void* workspace, const Prologue<T>& prologue);
};
struct LaneKernels {
  LaneFunctions<float> f32;
  LaneFunctions<double> f64;
};
namespace baseline {
LaneKernels lane_kernels();
}
namespace avx2 {
LaneKernels lane_kernels();
}
namespace avx512 {
LaneKernels lane_kernels();
}

}  // namespace fc
