// Optimizer kernels: the constants of a step and the tables of one instruction set.
#pragma once

#include <cstdint>

namespace fc {

struct SgdStep {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first;
};

struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;
  double rate, root;  // lr / (1 - beta1^step), sqrt(1 - beta2^step)
};

// Each works on n values of one parameter; v of sgd is null without momentum.
template <class T>
struct OptimFunctions {
  void (*sgd)(T* p, const T* g, T* v, int64_t n, const SgdStep& step);
  void (*adam)(T* p, const T* g, T* m, T* v, int64_t n, const AdamStep& step);
};

struct OptimKernels {
  OptimFunctions<float> f32;
  OptimFunctions<double> f64;
};

namespace baseline {
OptimKernels optim_kernels();
}  // namespace baseline
namespace avx2 {
OptimKernels optim_kernels();
}  // namespace avx2
namespace avx512 {
OptimKernels optim_kernels();
}  // namespace avx512

}  // namespace fc
