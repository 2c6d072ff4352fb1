// SGD as torch computes it, in place:
//
//   g += decay*p; v = first ? g : momentum*v + (1 - dampening)*g; d = nesterov ? g + momentum*v : v
//   p -= lr*d                                                     (no momentum: d = g)
//
// Products are rounded by themselves: the same bits on every backend.
#include "cuda/optim/optim.h"
#include "cuda/optim/step_all.h"

namespace fc::cuda {
namespace {

FC_DEVICE float decayed(float g, float p, float decay) {
  return decay != 0.f ? g + __fmul_rn(decay, p) : g;
}

struct Plain {
  static constexpr bool kReadsStates = false;
  float lr, decay;

  FC_DEVICE void operator()(float (&element)[2]) const {
    auto& [p, g] = element;
    p = p - __fmul_rn(lr, decayed(g, p, decay));
  }
};

template <bool kFirst>
struct Momentum {
  static constexpr bool kReadsStates = !kFirst;
  float lr, decay, momentum, damp;
  bool nesterov;

  FC_DEVICE void operator()(float (&element)[3]) const {
    auto& [p, g, v] = element;
    const float grad = decayed(g, p, decay);
    v = kFirst ? grad : __fmul_rn(momentum, v) + __fmul_rn(damp, grad);
    const float direction = nesterov ? grad + __fmul_rn(momentum, v) : v;
    p = p - __fmul_rn(lr, direction);
  }
};

}  // namespace

template <class T>
void sgd_step(const std::vector<Tensor<T, 2>>& tensors, const SgdStep& step, Stream stream) {
  step_all(tensors, Plain{static_cast<float>(step.lr), static_cast<float>(step.weight_decay)},
           stream);
}

template <class T>
void sgd_step(const std::vector<Tensor<T, 3>>& tensors, const SgdStep& step, Stream stream) {
  const auto lr = static_cast<float>(step.lr), decay = static_cast<float>(step.weight_decay);
  const auto momentum = static_cast<float>(step.momentum);
  const auto damp = static_cast<float>(1 - step.dampening);
  if (step.first) {
    step_all(tensors, Momentum<true>{lr, decay, momentum, damp, step.nesterov}, stream);
  } else {
    step_all(tensors, Momentum<false>{lr, decay, momentum, damp, step.nesterov}, stream);
  }
}

template void sgd_step(const std::vector<Tensor<float, 2>>&, const SgdStep&, Stream);
template void sgd_step(const std::vector<Tensor<float, 3>>&, const SgdStep&, Stream);

}  // namespace fc::cuda
