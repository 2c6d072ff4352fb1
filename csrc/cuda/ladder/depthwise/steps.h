// The steps from the obvious depthwise kernel to the structure of ../../depthwise, to be read in
// order; each file says what it changes and why.
//
//   y[n,p,q,c] = sum_{r,s} x[n, p + r - pad_top, q + s - pad_left, c] * w[c,r,s]
//
// 3x3, stride 1, dilation 1, x (N,H,W,C), w (C,3,3), y (N,P,Q,C), float32, C a multiple of 4.
// `fastconv run-kernel depthwise --step 1 --trace` shows what each costs.
#pragma once

#include "conv2d.h"
#include "cuda/stream.h"

namespace fc::cuda::ladder {

constexpr int kWindow = 3, kTaps = 9;

struct Sizes {
  int h, w, c, p, q, pad_top, pad_left;

  explicit Sizes(const Conv2dProblem& a)
      : h(static_cast<int>(a.h)),
        w(static_cast<int>(a.w)),
        c(static_cast<int>(a.c)),
        p(static_cast<int>(a.p)),
        q(static_cast<int>(a.q)),
        pad_top(static_cast<int>(a.pad_top)),
        pad_left(static_cast<int>(a.pad_left)) {}
};

// Nothing may be empty; x and y aligned to 16 bytes.
void depthwise_step1(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);
void depthwise_step2(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);
void depthwise_step3(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);
void depthwise_step4(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);

}  // namespace fc::cuda::ladder
