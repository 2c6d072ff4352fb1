// Optimizer steps on a piece of one parameter, as torch computes them:
//
//   SGD   g += wd*p; v = first ? g : momentum*v + (1-dampening)*g; d = nesterov ? g + momentum*v :
//   v
//         p -= lr*d     (no momentum: d = g)
//   Adam  g += wd*p (AdamW instead: p *= 1 - lr*wd); m = beta1*m + (1-beta1)*g;
//         v = beta2*v + (1-beta2)*g^2; p -= rate*m / (sqrt(v)/root + eps),
//         rate = lr/(1 - beta1^step), root = sqrt(1 - beta2^step)
#include "cpu/optim.h"

#include "cpu/kernels/vmath.h"

namespace fc::FC_ISA {
namespace {

// No weight decay is a decay of 0: a branch less in the loop, and the same bits for finite values.
template <class T>
void sgd(T* p, const T* g, T* v, int64_t n, const SgdStep& step) {
  const T lr = static_cast<T>(step.lr), decay = static_cast<T>(step.weight_decay);
  const T momentum = static_cast<T>(step.momentum), damp = static_cast<T>(1 - step.dampening);
  if (!v) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) p[i] = p[i] - lr * (g[i] + decay * p[i]);
    return;
  }
  FC_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) {
    const T grad = g[i] + decay * p[i];
    const T next = step.first ? grad : momentum * v[i] + damp * grad;
    v[i] = next;
    p[i] = p[i] - lr * (step.nesterov ? grad + momentum * next : next);
  }
}

template <class T>
void adam(T* p, const T* g, T* m, T* v, int64_t n, const AdamStep& step) {
  const T rate = static_cast<T>(step.rate), root = static_cast<T>(step.root);
  const T eps = static_cast<T>(step.eps);
  const T decay = static_cast<T>(step.decoupled ? 0 : step.weight_decay);
  const T shrink = static_cast<T>(step.decoupled ? 1 - step.lr * step.weight_decay : 1);
  const T beta1 = static_cast<T>(step.beta1), rest1 = static_cast<T>(1 - step.beta1);
  const T beta2 = static_cast<T>(step.beta2), rest2 = static_cast<T>(1 - step.beta2);
  FC_INDEPENDENT
  for (int64_t i = 0; i < n; ++i) {
    const T grad = g[i] + decay * p[i];
    const T first = beta1 * m[i] + rest1 * grad;
    const T second = beta2 * v[i] + rest2 * (grad * grad);
    m[i] = first;
    v[i] = second;
    p[i] = p[i] * shrink - rate * first / (sqrt_of(second) / root + eps);
  }
}

}  // namespace

OptimKernels optim_kernels() { return {{sgd<float>, adam<float>}, {sgd<double>, adam<double>}}; }

}  // namespace fc::FC_ISA
