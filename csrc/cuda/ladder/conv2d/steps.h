// The steps from the obvious dense convolution to the structure of ../../gemm/mainloop.h, to be
// read in order; each file says what it changes and why.
//
//   y[n,p,q,k] = sum_{r,s,c} x[n, p*stride_h + r - pad_top, q*stride_w + s - pad_left, c] *
//   w[k,r,s,c]
//
// 3x3 or 1x1, any stride and padding, dilation 1, groups 1, x (N,H,W,C), w (K,R,S,C), y (N,P,Q,K),
// float32, C a multiple of 4. `fastconv run-kernel conv2d --step 1 --trace` shows what each costs.
#pragma once

#include "conv2d.h"
#include "cuda/stream.h"

namespace fc::cuda::ladder {

// Nothing may be empty; x and w aligned to 16 bytes; y has less than 2^31 elements.
void conv2d_step1(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);
void conv2d_step2(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);
void conv2d_step3(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);
void conv2d_step4(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);

}  // namespace fc::cuda::ladder
