// Pooling kernels: the tables of one instruction set.
#pragma once

#include <cstdint>

#include "pool2d.h"

namespace fc {

// Index is uint8_t or int32_t; argmax may be null in fwd.
template <class T>
struct MaxPoolFunctions {
  void (*fwd_u8)(const T* x, T* y, uint8_t* argmax, const Pool2d& g);
  void (*fwd_i32)(const T* x, T* y, int32_t* argmax, const Pool2d& g);
  void (*bwd_u8)(const T* gy, const uint8_t* argmax, T* gx, const Pool2d& g);
  void (*bwd_i32)(const T* gy, const int32_t* argmax, T* gx, const Pool2d& g);
};

template <class T>
struct AvgPoolFunctions {
  void (*fwd)(const T* x, T* y, const Pool2d& g, bool count_include_pad);
  void (*bwd)(const T* gy, T* gx, const Pool2d& g, bool count_include_pad);
};

// Only n, h, w, c, p, q of the geometry are read.
template <class T>
struct AdaptivePoolFunctions {
  void (*avg_fwd)(const T* x, T* y, const Pool2d& g);
  void (*avg_bwd)(const T* gy, T* gx, const Pool2d& g);
  void (*max_fwd)(const T* x, T* y, int32_t* argmax, const Pool2d& g);
  void (*max_bwd)(const T* gy, const int32_t* argmax, T* gx, const Pool2d& g);
};

struct MaxPoolKernels {
  MaxPoolFunctions<float> f32;
  MaxPoolFunctions<double> f64;
};

struct AvgPoolKernels {
  AvgPoolFunctions<float> f32;
  AvgPoolFunctions<double> f64;
};

struct AdaptivePoolKernels {
  AdaptivePoolFunctions<float> f32;
  AdaptivePoolFunctions<double> f64;
};

namespace baseline {
MaxPoolKernels max_pool_kernels();
AvgPoolKernels avg_pool_kernels();
AdaptivePoolKernels adaptive_pool_kernels();
}  // namespace baseline
namespace avx2 {
MaxPoolKernels max_pool_kernels();
AvgPoolKernels avg_pool_kernels();
AdaptivePoolKernels adaptive_pool_kernels();
}  // namespace avx2
namespace avx512 {
MaxPoolKernels max_pool_kernels();
AvgPoolKernels avg_pool_kernels();
AdaptivePoolKernels adaptive_pool_kernels();
}  // namespace avx512

}  // namespace fc
