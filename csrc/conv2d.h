// What a convolution is: shared by every native module.
//
//   y[n,p,q,k] = sum_{r,s,c} x[n, p*stride_h + r*dilation_h - pad_top,
//                               q*stride_w + s*dilation_w - pad_left, c] * w[k,r,s,c]
//
// x (N,H,W,C), w (K,R,S,C/groups), y (N,P,Q,K); output channel k reads the channels of its group.
#pragma once

#include <cstdint>

#include "activation.h"

namespace fc {

struct Conv2dProblem {
  int64_t n, h, w, c, k, r, s, p, q;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t dilation_h, dilation_w;
  int64_t groups;

  int64_t cg() const { return c / groups; }
  int64_t kg() const { return k / groups; }
};

// Applied to x while it is loaded: act(x * scale[c] + shift[c]); padding stays 0.
template <class T>
struct Prologue {
  const T* scale = nullptr;  // (C,); null: no prologue
  const T* shift = nullptr;  // (C,)
  Activation act;
};

// Applied to the accumulator while it is stored: act(acc * scale[k] + shift[k] + residual).
template <class T>
struct Epilogue {
  const T* scale = nullptr;     // (K,) or null
  const T* shift = nullptr;     // (K,) or null
  const T* residual = nullptr;  // the shape of the output, or null
  Activation act;
  double* sums = nullptr;  // (2,K) or null: sum and sum of squares of acc * scale + shift
};

}  // namespace fc
