// The sizes of a convolution's matrix products, and the plans of its three directions.
#pragma once

#include "cuda/conv2d/direction.h"
#include "cuda/conv2d/windows.h"
#include "cuda/gemm/product.h"

namespace fc::cuda {

// Copies of four elements: channels of a pixel, of a tap.
inline bool vectors_of_channels(const Conv2dProblem& p, Direction direction) {
  return p.cg() % 4 == 0 && p.c % 4 == 0 &&
         (direction == Direction::kFwd || (p.kg() % 4 == 0 && p.k % 4 == 0));
}

inline ProductPlan forward_plan(const Conv2dProblem& p, bool sums) {
  return ProductPlan(p.n * p.p * p.q, p.kg(), p.r * p.s * p.cg(), p.groups,
                     vectors_of_channels(p, Direction::kFwd), /*may_split=*/!sums);
}

// Of one phase of the stride, the largest; phases run side by side, and their sums are short.
inline ProductPlan input_gradient_plan(const Conv2dProblem& p) {
  const int64_t rows = ceil_div(p.h, p.stride_h) * ceil_div(p.w, p.stride_w) * p.n;
  const int64_t taps = ceil_div(p.r, p.stride_h) * ceil_div(p.s, p.stride_w);
  return ProductPlan(rows, p.cg(), taps * p.kg(), p.groups * p.stride_h * p.stride_w,
                     vectors_of_channels(p, Direction::kDgrad), /*may_split=*/false);
}

inline ProductPlan weight_gradient_plan(const Conv2dProblem& p) {
  return ProductPlan(p.kg(), p.r * p.s * p.cg(), p.n * p.p * p.q, p.groups,
                     vectors_of_channels(p, Direction::kWgrad), /*may_split=*/true);
}

}  // namespace fc::cuda
