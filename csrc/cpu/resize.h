// Resize kernels: the tables of one instruction set.
#pragma once

#include <cstdint>

#include "resize2d.h"

namespace fc {

// Two neighbouring pixels of one axis of the input and the weight of the second.
struct ResizeSource {
  int64_t first, second;
  double weight;
};

// sources: scratch, resize_sources(g) of them
template <class T>
struct ResizeFunctions {
  void (*fwd)(const T* x, T* y, const ResizeShape& g, ResizeSource* sources);
  void (*bwd)(const T* gy, T* gx, const ResizeShape& g, ResizeSource* sources);
};

static inline int64_t resize_sources(const ResizeShape& g) { return g.p + g.q; }

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
