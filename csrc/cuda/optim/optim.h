// Launchers of the optimizer steps: all parameters of a network in few launches. Pointers are of
// the device; sizes in elements.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/stream.h"

namespace fc::cuda {

struct SgdStep {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first;
};

struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;
  double count;  // from 1
};

// One parameter: array[0] is it, array[1] its gradient, which is only read; then its states.
template <class T, int kArrays>
struct Tensor {
  T* array[kArrays];
  int64_t size;
};

template <class T>
void sgd_step(const std::vector<Tensor<T, 2>>& tensors, const SgdStep& step, Stream stream);
// state: the momentum, not read in the first step
template <class T>
void sgd_step(const std::vector<Tensor<T, 3>>& tensors, const SgdStep& step, Stream stream);
// states: the averages of the gradient and of its square
template <class T>
void adam_step(const std::vector<Tensor<T, 4>>& tensors, const AdamStep& step, Stream stream);

}  // namespace fc::cuda
