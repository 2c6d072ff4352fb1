// Convolution as matrix products (gemm.h), or by the lane kernels.
#pragma once

#include "cpu/gemm.h"
#include "cpu/lanes.h"

namespace fc {

enum class Algorithm { kImplicit, kIm2col, kMatrix, kDepthwise, kLanes, kWinograd };

template <class T>
class ConvEngine {
 public:
  ConvEngine(const GemmFunctions<T>& gemm, const LaneFunctions<T>& lanes)
      : gemm_(gemm), lanes_(lanes) {}

  // packed: fwd is given packed weights
  int64_t workspace(const Conv2dProblem& p, Direction direction, Algorithm algorithm, int threads,
                    bool packed) const;

  // Elements of w as fwd's kernel reads it; 0 where it reads w itself.
  int64_t packed_elements(const Conv2dProblem& p, Algorithm algorithm) const;
  void pack(const Conv2dProblem& p, Algorithm algorithm, const T* w, T* packed) const;

  // workspace: workspace(...) bytes for the same number of threads; packed: of w, or null
  void fwd(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w, const T* packed,
           T* y, const Prologue<T>& prologue, const Epilogue<T>& epilogue, int threads,
           void* workspace) const;
  void dgrad(const Conv2dProblem& p, Algorithm algorithm, const T* gy, const T* w, T* gx,
             int threads, void* workspace) const;
  void wgrad(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy, T* gw,
             const Prologue<T>& prologue, int threads, void* workspace) const;

  // Whether fwd takes epilogue.sums; else they are a pass of their own (finish_sums.h).
  static bool fuses_sums(Algorithm algorithm) { return algorithm != Algorithm::kIm2col; }

 private:
  int64_t job_workspace(const GemmJob<T>& job, Algorithm algorithm, int threads) const;
  void run(const GemmJob<T>& job, Algorithm algorithm, int threads, void* workspace) const;

  GemmFunctions<T> gemm_;
  LaneFunctions<T> lanes_;
};

extern template class ConvEngine<float>;
extern template class ConvEngine<double>;

}  // namespace fc
