// The three directions as matrix products, per group; windows are rows of a virtual matrix
// (gemm.h).
//
//   fwd    y  (N*P*Q, K)   = windows(x) (N*P*Q, R*S*C) @ w^T (R*S*C, K)
//   dgrad  gx (N*H*W, C)   = windows(gy) (.., R*S*K) @ w (R*S*K, C), once per phase of the stride
//   wgrad  gw (K, R*S*C)   = gy^T (K, N*P*Q) @ windows(x) (N*P*Q, R*S*C)
//
// With Algorithm::kMatrix the windows are one pixel each and the image is the matrix itself.
#pragma once

#include <vector>

#include "cpu/conv_engine.h"
#include "cpu/gemm.h"

namespace fc {

template <class T>
struct ConvJobs {
  static GemmJob<T> fwd(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w, T* y,
                        const Prologue<T>& prologue, const Epilogue<T>& epilogue);

  // One product per phase of the stride: no multiplications with the zeros between the steps.
  static std::vector<GemmJob<T>> dgrad(const Conv2dProblem& p, Algorithm algorithm, const T* gy,
                                       const T* w, T* gx);

  static GemmJob<T> wgrad(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy,
                          T* gw, const Prologue<T>& prologue);
};

extern template struct ConvJobs<float>;
extern template struct ConvJobs<double>;

}  // namespace fc
