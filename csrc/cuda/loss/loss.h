// Launchers of softmax and the losses. Pointers are of the device; matrices are (rows, c), c the
// classes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/stream.h"

namespace fc::cuda {

enum class Reduction { kNone, kSum, kMean };

// A reduced loss is the sum of as many partial sums as blocks, which lie in the workspace.
constexpr int64_t kMaxPartials = 4096, kPointwisePerBlock = 1024;

// Bytes of scratch memory.
inline int64_t cross_entropy_workspace(int64_t rows, Reduction reduction) {
  if (reduction == Reduction::kNone) return 0;
  return std::min(rows, kMaxPartials) * static_cast<int64_t>(sizeof(double));
}
inline int64_t loss_workspace(int64_t size, Reduction reduction) {
  return cross_entropy_workspace((size + kPointwisePerBlock - 1) / kPointwisePerBlock, reduction);
}

// y = softmax(x) or its logarithm; y may be x
template <class T>
void softmax_fwd(const T* x, T* y, int64_t rows, int c, bool log, Stream stream);
// gx may be gy
template <class T>
void softmax_bwd(const T* gy, const T* y, T* gx, int64_t rows, int c, bool log, Stream stream);

// loss (rows,) for kNone, else one value; lse (rows,); partial: the workspace
template <class T>
void cross_entropy_fwd(const T* logits, const int64_t* labels, T* loss, float* lse, int64_t rows,
                       int c, double smoothing, Reduction reduction, double* partial,
                       Stream stream);
template <class T>
void cross_entropy_bwd(const T* gloss, const T* logits, const int64_t* labels, const float* lse,
                       T* glogits, int64_t rows, int c, double smoothing, Reduction reduction,
                       Stream stream);

// x, t (size,); loss (size,) for kNone, else one value; partial: the workspace
template <class T>
void bce_with_logits_fwd(const T* x, const T* t, T* loss, int64_t size, Reduction reduction,
                         double* partial, Stream stream);
template <class T>
void bce_with_logits_bwd(const T* gloss, const T* x, const T* t, T* gx, int64_t size,
                         Reduction reduction, Stream stream);
template <class T>
void mse_fwd(const T* x, const T* t, T* loss, int64_t size, Reduction reduction, double* partial,
             Stream stream);
template <class T>
void mse_bwd(const T* gloss, const T* x, const T* t, T* gx, int64_t size, Reduction reduction,
             Stream stream);

}  // namespace fc::cuda
