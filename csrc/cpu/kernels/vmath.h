// What the kernels compute with: e^x as the compiler can vectorise it, and sums whose order is the
// same for every vector width.
//
// Everything here has internal linkage: these objects are compiled once per instruction set, and
// a symbol that the linker may merge would bring AVX-512 code to a machine without it.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

// The iterations are independent even where y is x: in-place calls are vectorised too.
#ifdef __clang__
#define FC_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define FC_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace fc::FC_ISA {
namespace {

constexpr int kLanes = 16;

template <class T>
inline T min_of(T a, T b) {
  return b < a ? b : a;
}
template <class T>
inline T max_of(T a, T b) {
  return a < b ? b : a;
}
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline float sqrt_of(float x) { return ::sqrtf(x); }
inline double sqrt_of(double x) { return ::sqrt(x); }
inline float pow_of(float x, float y) { return ::powf(x, y); }
inline double pow_of(double x, double y) { return ::pow(x, y); }

template <class T>
inline void fill(T* y, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) y[i] = value;
}

// e^x = 2^n * e^r, n = round(x / ln 2), |r| <= ln(2) / 2. Under 1 ulp; NaN, infinities and
// subnormal results as expf.
inline float fast_exp(float x) {
  const float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  float t = x < -104.f ? -104.f : x;
  t = t > 89.f ? 89.f : t;
  const float biased = t * 1.44269504f + kRound;
  uint32_t bits;
  memcpy(&bits, &biased, 4);
  const int32_t n = static_cast<int32_t>(bits - 0x4b400000u);
  const float nf = biased - kRound;
  // ln 2 in two parts; the first has so few bits that its product with n is exact
  float r = t - nf * 0.693359375f;
  r = r - nf * -2.12194440e-4f;
  // (e^r - 1 - r) / r^2, fitted on that interval: relative error of e^r 3.1e-9
  float p = 1.381446685e-3f;
  p = p * r + 8.368780418e-3f;
  p = p * r + 4.166839422e-2f;
  p = p * r + 1.666652011e-1f;
  p = p * r + 4.999999341e-1f;
  p = p * (r * r) + r + 1.f;
  // two factors: one power of two alone overflows before the result does
  const int32_t half = n >> 1;
  const uint32_t b1 = (static_cast<uint32_t>(half) + 127u) << 23;
  const uint32_t b2 = (static_cast<uint32_t>(n - half) + 127u) << 23;
  float s1, s2;
  memcpy(&s1, &b1, 4);
  memcpy(&s2, &b2, 4);
  return p * s1 * s2;
}
inline double fast_exp(double x) { return ::exp(x); }

// 1 / (1 + e^-x) without overflow
template <class T>
inline T logistic(T x) {
  const T e = fast_exp(x < T(0) ? x : -x);
  const T top = x < T(0) ? e : T(1);
  return top / (T(1) + e);
}

// tanh |x| = 1 - 2 / (e^2|x| + 1), near 0 a polynomial fitted to (tanh x - x) / x^3: relative error
// of tanh 1.3e-9. Within 1.75 eps.
inline float fast_tanh(float x) {
  const float size = x < 0.f ? -x : x, t = x * x;
  float p = -6.179815888e-3f;
  p = p * t + 2.100746365e-2f;
  p = p * t - 5.383743149e-2f;
  p = p * t + 1.333245229e-1f;
  p = p * t - 3.333331389e-1f;
  const float near = x + x * t * p;
  const float far = 1.f - 2.f / (fast_exp(size + size) + 1.f);
  const float far_signed = x < 0.f ? -far : far;
  return size < 0.5625f ? near : far_signed;
}
inline double fast_tanh(double x) { return ::tanh(x); }

template <class T>
inline T fold_lanes(T* lanes) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

// sum_i f(i) in kLanes interleaved partial sums: the compiler may vectorise it without reordering
template <class T, class F>
inline T sum_of(int64_t n, F f) {
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += f(i + l);
  }
  for (int l = 0; i + l < n; ++l) lanes[l] += f(i + l);
  return fold_lanes(lanes);
}

}  // namespace
}  // namespace fc::FC_ISA
