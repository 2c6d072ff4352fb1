// Adam and AdamW as torch computes them, in place; m and v average the gradient and its square:
//
//   g += decay*p (AdamW instead: p *= 1 - lr*decay)
//   m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g^2
//   p -= rate*m / (sqrt(v)/root + eps); rate = lr/(1 - beta1^count), root = sqrt(1 - beta2^count)
//
// Products are rounded by themselves: the same bits on every backend.
//
// Kingma and Ba 2015; Loshchilov and Hutter 2019.
#include <cmath>

#include "cuda/optim/optim.h"
#include "cuda/optim/step_all.h"

namespace fc::cuda {
namespace {

struct Adam {
  static constexpr bool kReadsStates = true;
  float rate, root, eps, decay, shrink, beta1, rest1, beta2, rest2;

  explicit Adam(const AdamStep& s)
      : rate(static_cast<float>(s.lr / (1 - std::pow(s.beta1, s.count)))),
        root(static_cast<float>(std::sqrt(1 - std::pow(s.beta2, s.count)))),
        eps(static_cast<float>(s.eps)),
        decay(static_cast<float>(s.decoupled ? 0 : s.weight_decay)),
        shrink(static_cast<float>(s.decoupled ? 1 - s.lr * s.weight_decay : 1)),
        beta1(static_cast<float>(s.beta1)),
        rest1(static_cast<float>(1 - s.beta1)),
        beta2(static_cast<float>(s.beta2)),
        rest2(static_cast<float>(1 - s.beta2)) {}

  FC_DEVICE void operator()(float (&element)[4]) const {
    auto& [p, g, m, v] = element;
    const float grad = decay != 0.f ? g + __fmul_rn(decay, p) : g;
    m = __fmul_rn(beta1, m) + __fmul_rn(rest1, grad);
    v = __fmul_rn(beta2, v) + __fmul_rn(rest2, __fmul_rn(grad, grad));
    p = __fmul_rn(p, shrink) - __fmul_rn(rate, m) / (::sqrtf(v) / root + eps);
  }
};

}  // namespace

template <class T>
void adam_step(const std::vector<Tensor<T, 4>>& tensors, const AdamStep& step, Stream stream) {
  step_all(tensors, Adam(step), stream);
}

template void adam_step(const std::vector<Tensor<float, 4>>&, const AdamStep&, Stream);

}  // namespace fc::cuda
