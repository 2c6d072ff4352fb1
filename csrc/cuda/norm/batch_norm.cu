// Batch normalisation over the rows of x (rows, C), rows = N*H*W:
//
//   prepare   mean = sums[0]/count;  var = sums[1]/count - mean^2;  rstd = 1/sqrt(var + eps)
//   fold      scale = gamma / sqrt(var + eps);  shift = beta + (b - mean)*scale, running statistics
//   apply     y = act((x - mean) * (gamma*rstd) + beta + residual)
//
// Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1. The sums are channel_stats' or those
// of a convolution's epilogue.
#include "cuda/channel/columns.h"
#include "cuda/norm/norm.h"
#include "cuda/norm/normalise.h"

namespace fc::cuda {
namespace {

// nothing to average (count 0): mean 0, variance 0, and the running statistics stay
__global__ void __launch_bounds__(kBlock)
    prepare_kernel(const double* sums, double count, float* mean, float* rstd, float* running_mean,
                   float* running_var, int channels, double momentum, double eps) {
  const int c = static_cast<int>(blockIdx.x) * kBlock + static_cast<int>(threadIdx.x);
  if (c >= channels) return;
  const double size = count > 1 ? count : 1, unbias = size / (count > 2 ? count - 1 : 1);
  const double m = sums[c] / size;
  const double raw = sums[channels + c] / size - m * m;
  const double var = raw < 0 ? 0 : raw;  // NaN stays
  mean[c] = static_cast<float>(m);
  rstd[c] = static_cast<float>(1 / sqrt(var + eps));
  if (count == 0) return;
  if (running_mean) {
    running_mean[c] = static_cast<float>((1 - momentum) * running_mean[c] + momentum * m);
  }
  if (running_var) {
    const double unbiased = var * unbias;
    running_var[c] = static_cast<float>((1 - momentum) * running_var[c] + momentum * unbiased);
  }
}

__global__ void __launch_bounds__(kBlock)
    fold_kernel(const float* mean, const float* var, const float* gamma, const float* beta,
                const float* b, double eps, float* scale, float* shift, int channels) {
  const int c = static_cast<int>(blockIdx.x) * kBlock + static_cast<int>(threadIdx.x);
  if (c >= channels) return;
  const double rstd = 1 / sqrt(var[c] + eps), factor = gamma ? rstd * gamma[c] : rstd;
  scale[c] = static_cast<float>(factor);
  if (!shift) return;
  const double offset = (b ? static_cast<double>(b[c]) : 0) - mean[c];
  shift[c] = static_cast<float>(offset * factor + (beta ? beta[c] : 0));
}

template <class T, bool kAlignedAll, int kCode>
struct Apply {
  static constexpr int kN = kVector<T>, kBatch = 4;
  static constexpr bool kAligned = kAlignedAll;
  using Channels = ChannelNorm<kN>;
  using Values = Vec<float, kN>;
  struct Loaded {
    Values x, residual;
  };

  const T *x, *residual;
  T* y;
  BatchNormParameters parameters;
  float alpha, beta;

  template <class Walk>
  FC_DEVICE Channels channels(const Walk& walk) const {
    return Channels(walk, parameters);
  }
  template <class Part>
  FC_DEVICE Loaded read(Part part, int64_t at) const {
    return {part.load(x + at), residual ? part.load(residual + at) : Values::all(0)};
  }
  template <class Part>
  FC_DEVICE void use(Part part, int64_t at, const Loaded& v, const Channels& norm) const {
    Values out;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      out[j] = act_forward<float>(kCode, alpha, beta, norm(j, v.x[j]) + v.residual[j]);
    }
    part.store(y + at, out);
  }
};

}  // namespace

void batch_norm_prepare(const double* sums, double count, float* mean, float* rstd,
                        float* running_mean, float* running_var, int64_t channels, double momentum,
                        double eps, Stream stream) {
  if (channels == 0) return;
  launch(prepare_kernel, blocks_for(channels), kBlock, 0, stream, sums, count, mean, rstd,
         running_mean, running_var, static_cast<int>(channels), momentum, eps);
}

void batch_norm_fold(const float* mean, const float* var, const float* gamma, const float* beta,
                     const float* b, double eps, float* scale, float* shift, int64_t channels,
                     Stream stream) {
  if (channels == 0) return;
  launch(fold_kernel, blocks_for(channels), kBlock, 0, stream, mean, var, gamma, beta, b, eps,
         scale, shift, static_cast<int>(channels));
}

template <class T>
void batch_norm_apply(const T* x, const float* mean, const float* rstd, const float* gamma,
                      const float* beta, const T* residual, T* y, int64_t rows, int64_t channels,
                      const Activation& act, Stream stream) {
  const int64_t size = rows * channels;
  if (size == 0) return;
  const BatchNormParameters p{mean, rstd, gamma, beta};
  const auto a = static_cast<float>(act.alpha), b = static_cast<float>(act.beta);
  with_act(act.code, [&](auto code) {
    with_alignment(
        0,
        [&](auto aligned) {
          const Apply<T, decltype(aligned)::value, decltype(code)::value> apply{x, residual, y,
                                                                                p, a,        b};
          map_columns<T>(apply, 1, size, channels, stream);
        },
        x, residual, y);
  });
}

template void batch_norm_apply(const float*, const float*, const float*, const float*, const float*,
                               const float*, float*, int64_t, int64_t, const Activation&, Stream);

}  // namespace fc::cuda
