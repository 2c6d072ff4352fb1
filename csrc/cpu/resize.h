// Resize kernels: the shapes they are given and the tables of one instruction set.
#pragma once

#include <cstdint>

namespace fc {

enum class ResizeMode { kNearest, kHalfPixel, kCorners };

// x (n, h, w, c) -> y (n, p, q, c)
struct ResizeShape {
  int64_t n, h, w, p, q, c;
  ResizeMode mode;
};

template <class T>
struct ResizeFunctions {
  void (*fwd)(const T* x, T* y, const ResizeShape& g);
  void (*bwd)(const T* gy, T* gx, const ResizeShape& g);
};

struct ResizeKernels {
  ResizeFunctions<float> f32;
  ResizeFunctions<double> f64;
};

namespace baseline {
ResizeKernels resize_kernels();
}  // namespace baseline
namespace avx2 {
ResizeKernels resize_kernels();
}  // namespace avx2
namespace avx512 {
ResizeKernels resize_kernels();
}  // namespace avx512

}  // namespace fc
