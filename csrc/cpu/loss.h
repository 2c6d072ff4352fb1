// Softmax and loss kernels: the tables of one instruction set.
#pragma once

#include <cstdint>

namespace fc {

// The gradient that comes from above: one value per row or element, or the same for all.
template <class T>
struct Upstream {
  const T* each;  // may be null
  T all;
};

template <class T>
struct SoftmaxFunctions {
  void (*softmax)(const T* x, T* y, int64_t rows, int64_t c, bool log);
  void (*softmax_grad)(const T* gy, const T* y, T* gx, int64_t rows, int64_t c, bool log);
  // loss (rows,); labels were checked to lie in [0, c)
  void (*cross_entropy)(const T* logits, const int64_t* labels, double* loss, T* lse, int64_t rows,
                        int64_t c, double smoothing);
  void (*cross_entropy_grad)(const Upstream<T>& g, const T* logits, const int64_t* labels,
                             const T* lse, T* gx, int64_t rows, int64_t c, double smoothing);
};

template <class T>
struct LossFunctions {
  int64_t (*scratch_size)(int64_t n);  // doubles for the sums
  void (*bce_each)(const T* x, const T* t, T* loss, int64_t n);
  double (*bce_sum)(const T* x, const T* t, int64_t n, double* scratch);
  void (*bce_grad)(const Upstream<T>& g, const T* x, const T* t, T* gx, int64_t n);
  void (*mse_each)(const T* x, const T* t, T* loss, int64_t n);
  double (*mse_sum)(const T* x, const T* t, int64_t n, double* scratch);
  void (*mse_grad)(const Upstream<T>& g, const T* x, const T* t, T* gx, int64_t n);
};

struct SoftmaxKernels {
  SoftmaxFunctions<float> f32;
  SoftmaxFunctions<double> f64;
};

struct LossKernels {
  LossFunctions<float> f32;
  LossFunctions<double> f64;
};

namespace baseline {
SoftmaxKernels softmax_kernels();
LossKernels loss_kernels();
}  // namespace baseline
namespace avx2 {
SoftmaxKernels softmax_kernels();
LossKernels loss_kernels();
}  // namespace avx2
namespace avx512 {
SoftmaxKernels softmax_kernels();
LossKernels loss_kernels();
}  // namespace avx512

}  // namespace fc
