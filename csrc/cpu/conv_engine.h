// Convolution as matrix products (gemm.h), or by the lane kernels.
#pragma once

#include "cpu/gemm.h"
#include "cpu/lanes.h"

namespace fc {

enum class Algorithm { kImplicit, kIm2col, kMatrix, kLanes };

template <class T>
class ConvEngine {
 public:
  ConvEngine(const GemmFunctions<T>& gemm, const LaneFunctions<T>& lanes)
      : gemm_(gemm), lanes_(lanes) {}

  int64_t workspace(const Conv2dProblem& p, Direction direction, Algorithm algorithm,
                    int threads) const;

  // workspace: workspace(...) bytes for the same number of threads
  void fwd(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w, T* y,
           const Prologue<T>& prologue, const Epilogue<T>& epilogue, int threads,
           void* workspace) const;
  void dgrad(const Conv2dProblem& p, Algorithm algorithm, const T* gy, const T* w, T* gx,
             int threads, void* workspace) const;
  void wgrad(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy, T* gw,
             const Prologue<T>& prologue, int threads, void* workspace) const;

 private:
  int64_t job_workspace(const GemmJob<T>& job, Algorithm algorithm, int threads) const;
  void run(const GemmJob<T>& job, Algorithm algorithm, int threads, void* workspace) const;

  GemmFunctions<T> gemm_;
  LaneFunctions<T> lanes_;
};

extern template class ConvEngine<float>;
extern template class ConvEngine<double>;

}  // namespace fc
