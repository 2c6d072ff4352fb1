// y = act(x), gx = gy * act'(.): the formulas of activation.h, one vectorised loop per activation.
#include "cpu/kernels/act_block.h"

#include "cpu/kernels/vmath.h"

namespace fc::FC_ISA {
namespace {

// activation.h, with the functions that vectorise
template <int kCode, class T>
inline T value_of(T alpha, T beta, T x) {
  if constexpr (kCode == kSigmoid) return logistic(x);
  if constexpr (kCode == kSilu) return x * logistic(x);
  if constexpr (kCode == kElu) {
    const T below = alpha * fast_expm1(x);
    return x > T(0) ? x : below;
  }
  if constexpr (kCode == kGelu) return x * normal(x).cdf;
  if constexpr (kCode == kTanh) return fast_tanh(x);
  if constexpr (kCode == kScaledTanh) return alpha * fast_tanh(beta * x);
  return act_forward<T>(kCode, alpha, beta, x);
}

// g * act'(.); ReLU selects: an infinite g times 0 would be NaN
template <int kCode, class T>
inline T gradient_of(T alpha, T beta, T g, T saved) {
  if constexpr (kCode == kIdentity) return g;
  if constexpr (kCode == kRelu) return saved <= T(0) ? T(0) : g;
  if constexpr (kCode == kRelu6) return ((saved <= T(0)) | (saved >= T(6))) ? T(0) : g;
  if constexpr (kCode == kSilu) {
    const T s = logistic(saved);
    return g * (s * (T(1) + saved * (T(1) - s)));
  }
  if constexpr (kCode == kElu) {
    const T slope = alpha * fast_exp(saved);
    return saved > T(0) ? g : g * slope;
  }
  if constexpr (kCode == kGelu) {
    const Normal<T> v = normal(saved);
    return g * (v.cdf + saved * T(0.39894228040143267794) * v.bell);
  }
  return g * act_gradient<T>(kCode, alpha, beta, saved);
}

template <class T>
void forward(const T* x, T* y, int64_t n, const Activation& act) {
  const T alpha = static_cast<T>(act.alpha), beta = static_cast<T>(act.beta);
  with_act(act.code, [=](auto code) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) y[i] = value_of<code.value>(alpha, beta, x[i]);
  });
}

template <class T>
void backward(const T* gy, const T* saved, T* gx, int64_t n, const Activation& act) {
  const T alpha = static_cast<T>(act.alpha), beta = static_cast<T>(act.beta);
  with_act(act.code, [=](auto code) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) gx[i] = gradient_of<code.value>(alpha, beta, gy[i], saved[i]);
  });
}

}  // namespace

void act_block(const float* x, float* y, int64_t n, const Activation& act) {
  forward(x, y, n, act);
}
void act_block(const double* x, double* y, int64_t n, const Activation& act) {
  forward(x, y, n, act);
}
void act_grad_block(const float* gy, const float* saved, float* gx, int64_t n,
                    const Activation& act) {
  backward(gy, saved, gx, n, act);
}
void act_grad_block(const double* gy, const double* saved, double* gx, int64_t n,
                    const Activation& act) {
  backward(gy, saved, gx, n, act);
}

}  // namespace fc::FC_ISA
