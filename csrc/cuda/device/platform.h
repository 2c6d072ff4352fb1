// The CUDA language: nvcc's own, or the emulator's twin. Every other header of device/ stands on
// this one, and kernels on those.
#pragma once

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "emulator/platform.h"
#endif

// Functions of the device that are part of a kernel's text.
#define FC_DEVICE __device__ __forceinline__

namespace fc::cuda {

constexpr int kWarp = 32;

// Rounds up: how many tiles cover a size.
template <class A, class B>
__host__ __device__ constexpr auto ceil_div(A a, B b) {
  return (a + b - 1) / b;
}

}  // namespace fc::cuda
