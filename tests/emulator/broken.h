// What the broken kernels share: (bug, x, y), x and y of a float per thread.
#pragma once

#include "harness.h"

namespace fc::selftest {

constexpr int kThreads = 64;
constexpr size_t kShared = kThreads * sizeof(float);

FC_DEVICE int me() { return static_cast<int>(threadIdx.x); }
FC_DEVICE int global_index() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

// number 0: bug
template <void (*kKernel)(bool, const float*, float*), int kBlocks = 1, size_t kBytes = kShared>
void on_x_and_y(const Arguments& a) {
  cuda::launch(kKernel, kBlocks, kThreads, kBytes, nullptr, a.number(0) != 0, a.array<float>(0),
               a.array<float>(1));
}

}  // namespace fc::selftest
