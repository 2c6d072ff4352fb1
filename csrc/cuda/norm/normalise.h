// z = (x - mean) * (gamma*rstd) + beta + residual: what batch norm's kernels share.
#pragma once

#include "cuda/device/vector.h"

namespace fc::cuda {

// Per channel, for the elements of a vector. gamma, beta may be null.
struct BatchNormParameters {
  const float *mean, *rstd, *gamma, *beta;
};

template <int kN>
struct ChannelNorm {
  Vec<float, kN> mean, scale, beta;

  template <class Walk>
  FC_DEVICE ChannelNorm(const Walk& walk, const BatchNormParameters& p)
      : mean(walk.of_channels(p.mean, 0)),
        scale(walk.of_channels(p.rstd, 1)),
        beta(walk.of_channels(p.beta, 0)) {
    const Vec<float, kN> gamma = walk.of_channels(p.gamma, 1);
#pragma unroll
    for (int j = 0; j < kN; ++j) scale[j] *= gamma[j];
  }

  FC_DEVICE float operator()(int j, float x) const { return (x - mean[j]) * scale[j] + beta[j]; }
};

}  // namespace fc::cuda
