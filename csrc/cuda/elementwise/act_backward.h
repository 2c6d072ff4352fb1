// gy * act'(saved), as every kernel that goes back through an activation computes it.
#pragma once

#include "activation.h"
#include "cuda/device/platform.h"

namespace fc::cuda {

// Where act' is 0 for good the gradient is 0, whatever gy is: as the reference has it.
template <int kCode>
FC_DEVICE float act_backward(float gy, float saved, float alpha, float beta) {
  constexpr bool kStops =
      kCode == kRelu || kCode == kRelu6 || kCode == kHardsigmoid || kCode == kHardswish;
  const float slope = act_gradient<float>(kCode, alpha, beta, saved);
  if constexpr (kCode == kIdentity) return gy;
  if constexpr (kStops) return slope == 0 ? 0.f : gy * slope;
  return gy * slope;
}

}  // namespace fc::cuda
