// acc[i] = acc[i] * a + b on kChains registers: no memory, nothing but multiply-adds.
#include "cpu/peak.h"

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

constexpr int kChains = 12;  // latency 4 x 2 units need 8; all fit in 16 registers with a and b

float fma(int64_t rounds) {
  Vec<float> acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = broadcast(0.1f * (i + 1));
  const Vec<float> a = broadcast(0.999f), b = broadcast(0.001f);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = madd<float>(acc[i], a, b);
  }
  Vec<float> sum = acc[0];
  for (int i = 1; i < kChains; ++i) sum += acc[i];
  float total = 0;
  for (int lane = 0; lane < kVw<float>; ++lane) total += sum[lane];
  return total;
}

}  // namespace

PeakKernels peak_kernels() { return {fma, 2 * int64_t{kChains} * kVw<float>}; }

}  // namespace fc::FC_ISA
