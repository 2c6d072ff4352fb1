// What tensors store and what kernels compute with: float32, float16 and bfloat16 are stored,
// arithmetic is float32 for all of them, and a result is rounded once, to nearest even.
#pragma once

#include <cstdint>

#include "cuda/device/vector.h"
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#else
#include <cstring>
#endif

namespace fc::cuda {

struct Half {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

FC_DEVICE float widen(float a) { return a; }

#ifdef __CUDACC__

FC_DEVICE float widen(Half a) { return __half2float(__ushort_as_half(a.bits)); }
FC_DEVICE float widen(Bfloat16 a) { return __uint_as_float(uint32_t{a.bits} << 16); }

template <class T>
FC_DEVICE T narrow(float a) {
  if constexpr (sizeof(T) == 4) {
    return a;
  } else if constexpr (std::is_same_v<T, Half>) {
    return {__half_as_ushort(__float2half_rn(a))};
  } else {
    return {__bfloat16_as_ushort(__float2bfloat16_rn(a))};
  }
}

#else

inline float float_of_bits(uint32_t bits) {
  float a;
  std::memcpy(&a, &bits, sizeof a);
  return a;
}
inline uint32_t bits_of_float(float a) {
  uint32_t bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
}

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
inline float widen(Half a) {
  const uint32_t sign = uint32_t{a.bits} >> 15 << 31;
  const uint32_t exponent = a.bits >> 10 & 31, fraction = a.bits & 1023;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  const float size = exponent ? std::ldexp(1024.f + fraction, static_cast<int>(exponent) - 25)
                              : std::ldexp(static_cast<float>(fraction), -24);
  return sign ? -size : size;
}
inline float widen(Bfloat16 a) { return float_of_bits(uint32_t{a.bits} << 16); }

// To nearest, ties to even: the float's last `dropped` bits go.
inline uint32_t rounded_shift(uint32_t bits, int dropped) {
  const uint32_t half = 1u << (dropped - 1), rest = bits & ((1u << dropped) - 1);
  const uint32_t kept = bits >> dropped;
  return kept + (rest > half || (rest == half && (kept & 1)));
}
inline uint16_t half_bits(float a) {
  const uint32_t bits = bits_of_float(a), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7fffu);
  // 65520 and above round to infinity
  if (size >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  const int exponent = static_cast<int>(size >> 23) - 127;
  if (exponent >= -14) {
    return static_cast<uint16_t>(sign | rounded_shift(size - (112u << 23), 13));
  }
  if (exponent < -25) return static_cast<uint16_t>(sign);
  const uint32_t fraction = (size & 0x7fffffu) | 0x800000u;
  return static_cast<uint16_t>(sign | rounded_shift(fraction, -1 - exponent));
}

template <class T>
inline T narrow(float a) {
  if constexpr (sizeof(T) == 4) {
    return a;
  } else if constexpr (std::is_same_v<T, Half>) {
    return {half_bits(a)};
  } else {
    const uint32_t bits = bits_of_float(a);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return {static_cast<uint16_t>(nan ? bits >> 16 | 0x40u : rounded_shift(bits, 16))};
  }
}

#endif

template <class T, int N>
FC_DEVICE Vec<float, N> widen(const Vec<T, N>& a) {
  Vec<float, N> b;
#pragma unroll
  for (int i = 0; i < N; ++i) b[i] = widen(a[i]);
  return b;
}

template <class T, int N>
FC_DEVICE Vec<T, N> narrow(const Vec<float, N>& a) {
  Vec<T, N> b;
#pragma unroll
  for (int i = 0; i < N; ++i) b[i] = narrow<T>(a[i]);
  return b;
}

}  // namespace fc::cuda
