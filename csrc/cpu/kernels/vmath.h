// What the kernels compute with: functions that the compiler can vectorise, and sums whose order is
// the same for every vector width.
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

template <class T>
inline void fill(T* y, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) y[i] = value;
}

// The functions below take float; they are straight lines of arithmetic and selects, which the
// compiler vectorises, and hold for NaN and infinities. eps is 2^-23. Their double overloads are
// libm's. Polynomials are fitted to the smallest relative error on the interval that is named.

// a * b + c, rounded once where the machine has FMA
inline float fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// The polynomial of t with these coefficients, the highest power's first.
inline float polynomial(float, float p) { return p; }
template <class... Rest>
inline float polynomial(float t, float p, float next, Rest... rest) {
  return polynomial(t, fused(p, t, next), rest...);
}

constexpr float kLog2e = 1.44269504f;
// ln 2 in two parts; the first has so few bits that its product with a small whole number is exact
constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
// 1.5 * 2^23: adding it leaves no fraction
constexpr float kRound = 12582912.f;

// 2^n as a product of two: one power of two alone overflows or vanishes before 2^n * m does.
struct PowerOfTwo {
  float first, second;
};
inline PowerOfTwo power_of_two(int32_t n) {
  const int32_t half = n >> 1;
  const uint32_t b1 = (static_cast<uint32_t>(half) + 127u) << 23;
  const uint32_t b2 = (static_cast<uint32_t>(n - half) + 127u) << 23;
  PowerOfTwo p;
  memcpy(&p.first, &b1, 4);
  memcpy(&p.second, &b2, 4);
  return p;
}

// The nearest whole number to |x| < 2^22, as a float and as an integer.
struct Whole {
  float value;
  int32_t n;
};
inline Whole round_of(float x) {
  const float biased = x + kRound;
  uint32_t bits;
  memcpy(&bits, &biased, 4);
  return {biased - kRound, static_cast<int32_t>(bits - 0x4b400000u)};
}

// x = n ln 2 + r, |r| <= ln(2) / 2; scale is 2^n
struct Reduced {
  float r;
  PowerOfTwo scale;
};
inline Reduced reduce_exp(float x) {
  float t = x < -104.f ? -104.f : x;
  t = t > 89.f ? 89.f : t;
  const Whole n = round_of(t * kLog2e);
  const float r = fused(n.value, -kLn2Low, fused(n.value, -kLn2High, t));
  return {r, power_of_two(n.n)};
}

// e^r - 1 - r for |r| <= ln(2) / 2, off by at most 3.1e-9
inline float exp_rest(float r) {
  return r * r *
         polynomial(r, 1.381446685e-3f, 8.368780418e-3f, 4.166839422e-2f, 1.666652011e-1f,
                    4.999999341e-1f);
}

// e^x: 0.75 eps; subnormal results as expf
inline float fast_exp(float x) {
  const Reduced v = reduce_exp(x);
  return (exp_rest(v.r) + v.r + 1.f) * v.scale.first * v.scale.second;
}
inline double fast_exp(double x) { return ::exp(x); }

// e^-|x|: 0.75 eps. Nothing can overflow, so that 2^n needs no second factor but a constant: that
// keeps it a normal number where the result is none.
inline float exp_of_minus(float x) {
  const float t = max_of(-::fabsf(x), -104.f);
  const float biased = fused(t, kLog2e, kRound), n = biased - kRound;
  const float r = fused(n, -kLn2Low, fused(n, -kLn2High, t));
  uint32_t bits;
  memcpy(&bits, &biased, 4);
  bits = (bits << 23) + ((127u + 64u) << 23);  // of kRound nothing is left
  float power;
  memcpy(&power, &bits, 4);
  return (exp_rest(r) + r + 1.f) * power * 5.421010862e-20f;  // 2^-64
}
inline double exp_of_minus(double x) { return ::exp(-::fabs(x)); }

// 1 / (1 + e^-x) without overflow
template <class T>
inline T logistic(T x) {
  const T e = exp_of_minus(x);
  const T top = x < T(0) ? e : T(1);
  return top / (T(1) + e);
}

// tanh |x| = 1 - 2 / (e^2|x| + 1), near 0 a polynomial fitted to (tanh x - x) / x^3: relative error
// of tanh 1.3e-9. Within 1.75 eps.
inline float fast_tanh(float x) {
  const float size = ::fabsf(x), t = x * x;
  const float p = polynomial(t, -6.179815888e-3f, 2.100746365e-2f, -5.383743149e-2f,
                             1.333245229e-1f, -3.333331389e-1f);
  const float near = fused(x * t, p, x);
  const float far = 1.f - 2.f / (fast_exp(size + size) + 1.f);
  const float far_signed = x < 0.f ? -far : far;
  return size < 0.5625f ? near : far_signed;
}
inline double fast_tanh(double x) { return ::tanh(x); }

// e^x - 1: 1.5 eps
inline float fast_expm1(float x) {
  const Reduced v = reduce_exp(x);
  uint32_t bits;
  memcpy(&bits, &v.scale.second, 4);
  bits = (254u << 23) - bits;  // 1 / second
  float inverse;
  memcpy(&inverse, &bits, 4);
  // 2^n (e^r - 1) + (2^n - 1)
  const float first = v.scale.first;
  const float e = ((exp_rest(v.r) + v.r) * first + (first - inverse)) * v.scale.second;
  return x == 0.f ? x : e;
}
inline double fast_expm1(double x) { return ::expm1(x); }

// w = 2^k * m, m from sqrt(1/2) to sqrt 2; w positive, normal and finite
struct Split {
  float k, m;
};
inline Split split_exponent(float w) {
  const uint32_t root_half = 0x3f3504f3u;
  uint32_t bits;
  memcpy(&bits, &w, 4);
  bits -= root_half;
  const uint32_t mantissa = (bits & 0x7fffffu) + root_half;
  float m;
  memcpy(&m, &mantissa, 4);
  return {static_cast<float>(static_cast<int32_t>(bits) >> 23), m};
}

// log m = f - s * (f - s^2 * q(s^2)), f = m - 1, s = f / (2 + f): relative error 8.1e-10
inline float log_mantissa(float m) {
  const float f = m - 1.f, s = f / (2.f + f), z = s * s;
  const float q = polynomial(z, 2.987216825e-1f, 3.997752616e-1f, 6.666677584e-1f);
  return f - s * (f - z * q);
}

// log(1 + x) for x >= 0: 1.5 eps
inline float fast_log1p(float x) {
  const float w = 1.f + x;
  const Split v = split_exponent(w);
  const float lost = (x - (w - 1.f)) / w;  // what the rounding of 1 + x took away
  const float y = v.k * kLn2High + (log_mantissa(v.m) + (lost + v.k * kLn2Low));
  return x < INFINITY ? y : x;
}
inline double fast_log1p(double x) { return ::log1p(x); }

// s^-beta for s >= 0: (1.5 + beta) eps
template <class T>
struct InversePower {
  T beta;
  explicit InversePower(double beta_) : beta(static_cast<T>(beta_)) {}
  T operator()(T s) const { return ::pow(s, -beta); }
};

// 2^-(beta * log2 s). beta has a high part of so few bits that its product with log2's whole part
// is exact; what is left of the exponent is small, and so is its error.
template <>
struct InversePower<float> {
  float high, low, beta, at_zero, at_infinity;

  explicit InversePower(double beta_) {
    beta = static_cast<float>(beta_);
    uint32_t bits;
    memcpy(&bits, &beta, 4);
    bits &= 0xfffff000u;
    memcpy(&high, &bits, 4);
    low = static_cast<float>(beta_ - static_cast<double>(high));
    at_zero = beta > 0.f ? INFINITY : 1.f;
    at_infinity = beta > 0.f ? 0.f : 1.f;
  }

  float operator()(float s) const {
    const bool small = s < 1.17549435e-38f;
    const Split v = split_exponent(small ? s * 16777216.f : s);
    const float k = small ? v.k - 24.f : v.k;
    const float whole = -high * k;
    const float rest = -low * k - beta * (log_mantissa(v.m) * kLog2e);
    const float exponent = whole + rest;
    const bool in_range = (exponent > -150.f) & (exponent < 129.f);
    const float limit = exponent < 0.f ? -150.f : 129.f;
    const Whole n = round_of(in_range ? exponent : limit);
    const float r = in_range ? (whole - n.value) + rest : 0.f;
    // (2^r - 1 - r ln 2) / r^2, |r| <= 0.51: relative error of 2^r 3.6e-9
    float p = polynomial(r, 1.547459300e-4f, 1.339274130e-3f, 9.618014020e-3f, 5.550357590e-2f,
                         2.402265120e-1f);
    p = p * (r * r) + r * 0.693147181f + 1.f;
    const PowerOfTwo scale = power_of_two(n.n);
    const float y = p * scale.first * scale.second;
    const float from_zero = s == 0.f ? at_zero : y;
    const float at_end = s == s ? at_infinity : s;
    return s < INFINITY ? from_zero : at_end;
  }
};

// The normal distribution: cdf = Phi(x), bell = e^(-x^2 / 2). 6 eps each, also far out.
template <class T>
struct Normal {
  T cdf, bell;
};
inline Normal<float> normal(float x) {
  const float size = ::fabsf(x);
  const float a = size > 14.5f ? 14.5f : size;
  // a^2 / 2 to twice the precision: e^-s multiplies the error of s by s
  uint32_t bits;
  memcpy(&bits, &a, 4);
  bits &= 0xfffff000u;
  float high;
  memcpy(&high, &bits, 4);
  const float square = 0.5f * a * a;
  const float rest = (0.5f * high * high - square) + 0.5f * (a - high) * (a + high);
  const float e = exp_of_minus(square), bell = fused(-e, rest, e);
  // Phi(-a) / bell as a polynomial of t = (a - 3) / (a + 3), a to 14.5: relative error 9.2e-9
  const float t = (a - 3.f) / (a + 3.f);
  const float p = polynomial(t, 5.316186968e-5f, 1.150136727e-4f, -3.390127970e-4f,
                             -9.832882172e-4f, 2.904387359e-3f, 6.131942285e-3f, -4.621326362e-2f,
                             1.232250412e-1f, -2.064026204e-1f, 1.215139475e-1f);
  const float tail = bell * p;
  return {x < 0.f ? tail : 1.f - tail, bell};
}
inline Normal<double> normal(double x) {
  return {0.5 * ::erfc(-0.70710678118654752440 * x), ::exp(-0.5 * x * x)};
}

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
