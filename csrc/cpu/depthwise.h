// Convolution of each channel on its own: groups == C, K == C * multiplier.
#pragma once

#include <cstdint>

#include "conv2d.h"

namespace fc {

enum class Direction { kFwd, kDgrad, kWgrad };

// workspace: depthwise_workspace(...) elements
template <class T>
struct DepthwiseFunctions {
  void (*fwd)(const Conv2dProblem& p, const T* x, const T* w, T* y, T* workspace,
              const Prologue<T>& prologue, const Epilogue<T>& epilogue);  // no sums
  void (*dgrad)(const Conv2dProblem& p, const T* gy, const T* w, T* gx, T* workspace);
  void (*wgrad)(const Conv2dProblem& p, const T* x, const T* gy, T* gw, T* workspace,
                const Prologue<T>& prologue);
};
struct DepthwiseKernels {
  DepthwiseFunctions<float> f32;
  DepthwiseFunctions<double> f64;
};
namespace baseline {
DepthwiseKernels depthwise_kernels();
}
namespace avx2 {
DepthwiseKernels depthwise_kernels();
}
namespace avx512 {
DepthwiseKernels depthwise_kernels();
}

// The weight gradient sums the rows (n,p) of each chunk, then the chunks in order; the shape alone
// fixes them.
static inline int64_t depthwise_chunks(const Conv2dProblem& p) {
  constexpr int64_t kMostChunks = 64;
  const int64_t rows = p.n * p.p;
  return rows < kMostChunks ? rows : kMostChunks;
}

// fwd and dgrad: the weights as (R,S,multiplier,C); wgrad: one gradient per chunk in that layout.
static inline int64_t depthwise_workspace(const Conv2dProblem& p, Direction direction) {
  return (direction == Direction::kWgrad ? depthwise_chunks(p) : 1) * p.r * p.s * p.k;
}

}  // namespace fc
