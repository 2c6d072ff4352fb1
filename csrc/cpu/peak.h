// What the machine can do at best, measured: multiply-adds on registers, copies of memory.
#pragma once

#include <cstdint>

namespace fc {

struct PeakKernels {
  // Runs `rounds` rounds of independent float32 multiply-adds on this thread; returns a value that
  // depends on all of them, so that none can be left out.
  float (*fma)(int64_t rounds);
  int64_t flops_per_round;
};

namespace baseline {
PeakKernels peak_kernels();
}
namespace avx2 {
PeakKernels peak_kernels();
}
namespace avx512 {
PeakKernels peak_kernels();
}

}  // namespace fc
