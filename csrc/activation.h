// The activations of epilogues, prologues and activation kernels, and their derivatives.
//
// The codes are those of fastconv/backend/activation.py (a test compares the two). Every function
// is static: each object keeps its own copy, so that objects of different instruction sets never
// share one.
#pragma once

#include <cmath>

#include "host_device.h"

namespace fc {

enum ActCode {
  kIdentity = 0,
  kRelu = 1,
  kRelu6 = 2,
  kLeakyRelu = 3,
  kElu = 4,
  kSilu = 5,
  kHardswish = 6,
  kHardsigmoid = 7,
  kGelu = 8,
  kSigmoid = 9,
  kTanh = 10,
  kScaledTanh = 11,
  kActCount = 12,
};

static constexpr const char* kActNames[kActCount] = {
    "identity",  "relu",        "relu6", "leaky_relu", "elu",  "silu",
    "hardswish", "hardsigmoid", "gelu",  "sigmoid",    "tanh", "scaled_tanh",
};

// alpha, beta: leaky_relu slope; elu alpha; scaled_tanh amplitude and slope.
struct Activation {
  int code = kIdentity;
  double alpha = 0, beta = 0;
};

// Plain functions of the C library: the std:: overloads are inline and would be exported weakly.
FC_HOST_DEVICE static inline float exp_of(float x) { return ::expf(x); }
FC_HOST_DEVICE static inline double exp_of(double x) { return ::exp(x); }
FC_HOST_DEVICE static inline float expm1_of(float x) { return ::expm1f(x); }
FC_HOST_DEVICE static inline double expm1_of(double x) { return ::expm1(x); }
FC_HOST_DEVICE static inline float tanh_of(float x) { return ::tanhf(x); }
FC_HOST_DEVICE static inline double tanh_of(double x) { return ::tanh(x); }
FC_HOST_DEVICE static inline float erf_of(float x) { return ::erff(x); }
FC_HOST_DEVICE static inline double erf_of(double x) { return ::erf(x); }

template <class T>
FC_HOST_DEVICE static inline T sigmoid(T x) {
  // the branch keeps exp from overflowing
  const T e = exp_of(x < 0 ? x : -x);
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

// y = act(x). Comparisons are written so that NaN passes through.
template <class T>
FC_HOST_DEVICE static inline T act_forward(int code, T alpha, T beta, T x) {
  switch (code) {
    case kRelu:
      return x < 0 ? T(0) : x;
    case kRelu6:
      return x < 0 ? T(0) : x > 6 ? T(6) : x;
    case kLeakyRelu:
      return x > 0 ? x : alpha * x;
    case kElu:
      return x > 0 ? x : alpha * expm1_of(x);
    case kSilu:
      return x * sigmoid(x);
    case kHardswish: {
      const T t = x + 3;
      return x * (t < 0 ? T(0) : t > 6 ? T(6) : t) / 6;
    }
    case kHardsigmoid: {
      const T t = x + 3;
      return (t < 0 ? T(0) : t > 6 ? T(6) : t) / 6;
    }
    case kGelu:
      return T(0.5) * x * (1 + erf_of(x * T(0.70710678118654752440)));
    case kSigmoid:
      return sigmoid(x);
    case kTanh:
      return tanh_of(x);
    case kScaledTanh:
      return alpha * tanh_of(beta * x);
    default:
      return x;
  }
}

// d act / dx, from the output y or the input x: as the table's "gradient from" column says.
template <class T>
FC_HOST_DEVICE static inline T act_gradient(int code, T alpha, T beta, T saved) {
  switch (code) {
    case kRelu:
      return saved <= 0 ? T(0) : T(1);
    case kRelu6:
      return saved <= 0 || saved >= 6 ? T(0) : T(1);
    case kLeakyRelu:
      return saved > 0 ? T(1) : alpha;
    case kElu:
      return saved > 0 ? T(1) : alpha * exp_of(saved);
    case kSilu: {
      const T s = sigmoid(saved);
      return s * (1 + saved * (1 - s));
    }
    case kHardswish:
      return saved <= -3 ? T(0) : saved >= 3 ? T(1) : saved / 3 + T(0.5);
    case kHardsigmoid:
      return saved > -3 && saved < 3 ? T(1) / 6 : T(0);
    case kGelu: {
      const T cdf = T(0.5) * (1 + erf_of(saved * T(0.70710678118654752440)));
      return cdf + saved * T(0.39894228040143267794) * exp_of(T(-0.5) * saved * saved);
    }
    case kSigmoid:
      return saved * (1 - saved);
    case kTanh:
      return 1 - saved * saved;
    case kScaledTanh:
      return beta * (alpha - saved * saved / alpha);
    default:
      return T(1);
  }
}

// Calls f with the activation's code as a compile-time constant (code.value), so that a loop over
// act_forward<T>(code.value, ...) inside f has no branch per element.
template <int kCode>
struct ActConstant {
  static constexpr int value = kCode;
};

template <class F>
static inline void with_act(int code, F f) {
  switch (code) {
    case kRelu:
      return f(ActConstant<kRelu>{});
    case kRelu6:
      return f(ActConstant<kRelu6>{});
    case kLeakyRelu:
      return f(ActConstant<kLeakyRelu>{});
    case kElu:
      return f(ActConstant<kElu>{});
    case kSilu:
      return f(ActConstant<kSilu>{});
    case kHardswish:
      return f(ActConstant<kHardswish>{});
    case kHardsigmoid:
      return f(ActConstant<kHardsigmoid>{});
    case kGelu:
      return f(ActConstant<kGelu>{});
    case kSigmoid:
      return f(ActConstant<kSigmoid>{});
    case kTanh:
      return f(ActConstant<kTanh>{});
    case kScaledTanh:
      return f(ActConstant<kScaledTanh>{});
    default:
      return f(ActConstant<kIdentity>{});
  }
}

}  // namespace fc
