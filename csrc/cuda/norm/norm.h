// Launchers of the norms. Pointers are of the device; activations (rows, C), rows = N*H*W, stored
// as T; parameters and statistics are float32. Pointers that may be null are said to be.
#pragma once

#include <cstdint>

#include "activation.h"
#include "cuda/stream.h"

namespace fc::cuda {

// mean and rstd from sums (2, C); running_mean and running_var, if not null, are brought up to date
void batch_norm_prepare(const double* sums, double count, float* mean, float* rstd,
                        float* running_mean, float* running_var, int64_t channels, double momentum,
                        double eps, Stream stream);

// scale = gamma / sqrt(var + eps), shift = beta + (b - mean)*scale; gamma, beta, b, shift may be
// null
void batch_norm_fold(const float* mean, const float* var, const float* gamma, const float* beta,
                     const float* b, double eps, float* scale, float* shift, int64_t channels,
                     Stream stream);

// y = act((x - mean) * (gamma*rstd) + beta + residual); gamma, beta, residual may be null, y be x
template <class T>
void batch_norm_apply(const T* x, const float* mean, const float* rstd, const float* gamma,
                      const float* beta, const T* residual, T* y, int64_t rows, int64_t channels,
                      const Activation& act, Stream stream);

template <class T>
struct BatchNormGrad {
  int64_t rows, channels;
  const T *gy, *x, *y;  // x null: no output needs it; y null: act' is taken at the recomputed input
  const T* residual;    // may be null
  const float *gamma, *beta;  // may be null
  const float *mean, *rstd;
  Activation act;
  bool training;
  T* gx;  // each output may be null; gx is not gy
  float *ggamma, *gbeta;
  T* gresidual;

  // what is asked for cannot be had without x
  bool needs_x() const { return (act.code != kIdentity && !y) || ggamma || (gx && training); }
};
int64_t batch_norm_bwd_workspace(int64_t size, int64_t channels);
template <class T>
void batch_norm_bwd(const BatchNormGrad<T>& a, void* workspace, Stream stream);

// gamma, beta may be null
template <class T>
void layer_norm_fwd(const T* x, const float* gamma, const float* beta, T* y, float* mean,
                    float* rstd, int64_t rows, int64_t channels, double eps, Stream stream);

template <class T>
struct LayerNormGrad {
  int64_t rows, channels;
  const T *gy, *x;
  const float *gamma, *mean, *rstd;  // gamma may be null
  T* gx;                             // each output may be null
  float *ggamma, *gbeta;
};
int64_t layer_norm_bwd_workspace(int64_t rows, int64_t channels);
template <class T>
void layer_norm_bwd(const LayerNormGrad<T>& a, void* workspace, Stream stream);

// scale may be null
template <class T>
void lrn_fwd(const T* x, T* y, T* scale, int64_t rows, int64_t channels, int64_t size, double alpha,
             double beta, double k, Stream stream);
template <class T>
void lrn_bwd(const T* gy, const T* x, const T* scale, T* gx, int64_t rows, int64_t channels,
             int64_t size, double alpha, double beta, Stream stream);

}  // namespace fc::cuda
