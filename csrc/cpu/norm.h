// Normalisation kernels: what they are given and the tables of one instruction set.
// Activations are (rows, C), rows = N*H*W; pointers that may be null are said to be.
#pragma once

#include <cstdint>

#include "activation.h"

namespace fc {

template <class T>
struct BatchNormGrad {
  int64_t rows, c;
  const T *gy, *x, *y;    // y null: the gradient of act is taken at the recomputed input
  const T* residual;      // may be null
  const T *gamma, *beta;  // may be null
  const T *mean, *rstd;
  Activation act;
  bool training;
  T *gx, *ggamma, *gbeta, *gresidual;  // each may be null; gx is not gy
};

// fold: gamma, beta, b and shift may be null
template <class T>
struct BatchNormFunctions {
  void (*prepare)(const double* sums, double count, T* mean, T* rstd, T* running_mean,
                  T* running_var, int64_t c, double momentum, double eps);
  void (*fold)(const T* mean, const T* var, const T* gamma, const T* beta, const T* b, double eps,
               T* scale, T* shift, int64_t c);
  void (*apply)(const T* x, const T* mean, const T* rstd, const T* gamma, const T* beta,
                const T* residual, T* y, int64_t rows, int64_t c, const Activation& act);
  int64_t (*scratch_size)(int64_t rows, int64_t c);  // doubles for bwd
  void (*bwd)(const BatchNormGrad<T>& a, double* scratch);
};

template <class T>
struct LayerNormGrad {
  int64_t rows, c;
  const T *gy, *x, *gamma, *mean, *rstd;  // gamma may be null
  T *gx, *ggamma, *gbeta;                 // each may be null
};

template <class T>
struct LayerNormFunctions {
  void (*fwd)(const T* x, const T* gamma, const T* beta, T* y, T* mean, T* rstd, int64_t rows,
              int64_t c, double eps);
  int64_t (*scratch_size)(int64_t rows, int64_t c);  // doubles for bwd
  void (*bwd)(const LayerNormGrad<T>& a, double* scratch);
};

template <class T>
struct LrnFunctions {
  int64_t (*scratch_size)(int64_t rows, int64_t c);  // values of T
  void (*fwd)(const T* x, T* y, T* scale, int64_t rows, int64_t c, int64_t size, double alpha,
              double beta, double k, T* scratch);
  void (*bwd)(const T* gy, const T* x, const T* scale, T* gx, int64_t rows, int64_t c, int64_t size,
              double alpha, double beta, T* scratch);
};

struct BatchNormKernels {
  BatchNormFunctions<float> f32;
  BatchNormFunctions<double> f64;
};

struct LayerNormKernels {
  LayerNormFunctions<float> f32;
  LayerNormFunctions<double> f64;
};

struct LrnKernels {
  LrnFunctions<float> f32;
  LrnFunctions<double> f64;
};

namespace baseline {
BatchNormKernels batch_norm_kernels();
LayerNormKernels layer_norm_kernels();
LrnKernels lrn_kernels();
}  // namespace baseline
namespace avx2 {
BatchNormKernels batch_norm_kernels();
LayerNormKernels layer_norm_kernels();
LrnKernels lrn_kernels();
}  // namespace avx2
namespace avx512 {
BatchNormKernels batch_norm_kernels();
LayerNormKernels layer_norm_kernels();
LrnKernels lrn_kernels();
}  // namespace avx512

}  // namespace fc
