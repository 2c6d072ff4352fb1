// The transforms of csrc/winograd_points.h in float32.
#pragma once

#include "cuda/device/platform.h"
#include "winograd_points.h"

namespace fc::cuda::winograd {

using ::fc::winograd::kFrequencies;
using ::fc::winograd::kOutputs;
using ::fc::winograd::kPoints;
using ::fc::winograd::kTaps;

struct Fused {
  FC_DEVICE float operator()(float a, float b, float c) const { return fmaf(a, b, c); }
};

FC_DEVICE void transform_input(const float (&d)[kPoints], float (&v)[kPoints]) {
  ::fc::winograd::transform_input<float>(d, v, Fused());
}
FC_DEVICE void transform_weights(const float (&w)[kTaps], float (&u)[kPoints]) {
  ::fc::winograd::transform_weights<float>(w, u, Fused());
}
FC_DEVICE void transform_output(const float (&m)[kPoints], float (&y)[kOutputs]) {
  ::fc::winograd::transform_output<float>(m, y, Fused());
}

}  // namespace fc::cuda::winograd
