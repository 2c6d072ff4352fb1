// Element-wise kernels: the tables of one instruction set. Arrays are contiguous, n values.
#pragma once

#include <cstdint>

#include "activation.h"

namespace fc {

template <class T>
struct ElementwiseFunctions {
  void (*activation)(const T* x, T* y, int64_t n, const Activation& act);
  void (*activation_grad)(const T* gy, const T* saved, T* gx, int64_t n, const Activation& act);
  void (*add)(const T* a, const T* b, T* y, int64_t n, const Activation& act);
  void (*channel_shuffle)(const T* x, T* y, int64_t rows, int64_t c, int64_t groups);
  void (*scale_channels)(const T* x, const T* s, T* y, int64_t n, int64_t hw, int64_t c);
  // gx, gs: each may be null
  void (*scale_channels_grad)(const T* gy, const T* x, const T* s, T* gx, T* gs, int64_t n,
                              int64_t hw, int64_t c, double* scratch);
  int64_t (*scale_channels_scratch)(int64_t n, int64_t hw, int64_t c);  // doubles
};

// Element i of the stream is kept where the upper 24 bits of its word are threshold or more.
struct PhiloxStream {
  uint64_t seed, offset;
  uint32_t threshold;
  double keep;  // 1 - p
};

template <class T>
struct DropoutFunctions {
  void (*dropout)(const T* x, T* y, int64_t n, int64_t group, const PhiloxStream& stream);
};

struct ElementwiseKernels {
  ElementwiseFunctions<float> f32;
  ElementwiseFunctions<double> f64;
};

struct DropoutKernels {
  DropoutFunctions<float> f32;
  DropoutFunctions<double> f64;
};

namespace baseline {
ElementwiseKernels elementwise_kernels();
DropoutKernels dropout_kernels();
}  // namespace baseline
namespace avx2 {
ElementwiseKernels elementwise_kernels();
DropoutKernels dropout_kernels();
}  // namespace avx2
namespace avx512 {
ElementwiseKernels elementwise_kernels();
DropoutKernels dropout_kernels();
}  // namespace avx512

}  // namespace fc
