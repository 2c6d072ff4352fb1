// The part of the CUDA language that kernels use, as g++ reads it. Kernels include
// device/platform.h.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Of the thread that runs now; the machine sets them at every switch.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// Not inlined, so that the place of the call is known: their return address.
void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);

inline unsigned __umulhi(unsigned a, unsigned b) { return uint64_t{a} * b >> 32; }
inline int min(int a, int b) { return b < a ? b : a; }
inline int max(int a, int b) { return a < b ? b : a; }
// a product that is rounded by itself, never part of a fused multiply-add
inline float __fmul_rn(float a, float b) { return a * b; }
inline int __popc(unsigned a) { return __builtin_popcount(a); }
