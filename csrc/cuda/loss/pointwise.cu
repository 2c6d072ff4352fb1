// Element-wise losses of x against t, each value or their sum or mean:
//
//   bce  max(x, 0) - x*t + log(1 + e^-|x|)       gx = g * (sigmoid(x) - t)
//   mse  (x - t)^2                               gx = g * 2 * (x - t)
//
// Sums: four neighbours in float32, then float64, per thread, block and at last over the blocks.
#include "activation.h"
#include "cuda/elementwise/map.h"
#include "cuda/loss/loss.h"
#include "cuda/loss/total.h"

namespace fc::cuda {
namespace {

struct Bce {
  FC_DEVICE float operator()(float x, float t) const {
    const float positive = x < 0.f ? 0.f : x;
    return positive - x * t + ::log1pf(::expf(x < 0.f ? x : -x));
  }
  static FC_DEVICE float slope(float x, float t) { return sigmoid(x) - t; }
};

struct Mse {
  FC_DEVICE float operator()(float x, float t) const { return (x - t) * (x - t); }
  static FC_DEVICE float slope(float x, float t) { return 2.f * (x - t); }
};

// The gradient where every value has its own from above.
template <class Loss>
struct GradientOfEach {
  FC_DEVICE float operator()(float gloss, float x, float t) const {
    return Loss::slope(x, t) * gloss;
  }
};

// The gradient where one value comes from above for all.
template <class Loss, class T>
struct GradientOfTotal {
  const T* gloss;
  float divisor;
  FC_DEVICE float operator()(float x, float t) const {
    return Loss::slope(x, t) * (widen(*gloss) / divisor);
  }
};

constexpr int kNeighbours = 4;
static_assert(kPointwisePerBlock == kNeighbours * kBlock);

// aligned: four neighbours may be loaded at once. The sums are the same if not.
template <class Loss, class T>
__global__ void __launch_bounds__(kBlock)
    sum_kernel(const T* x, const T* t, int64_t size, double* partial, bool aligned) {
  const Loss loss;
  double sum = 0;
  const int64_t step = int64_t{gridDim.x} * kPointwisePerBlock;
  int64_t at = (int64_t{blockIdx.x} * kBlock + threadIdx.x) * kNeighbours;
  for (; at < size; at += step) {
    float few = 0;
    if (aligned && at + kNeighbours <= size) {
      const auto a = widen(load<kNeighbours>(x + at)), b = widen(load<kNeighbours>(t + at));
#pragma unroll
      for (int j = 0; j < kNeighbours; ++j) few += loss(a[j], b[j]);
    } else {
#pragma unroll
      for (int j = 0; j < kNeighbours; ++j) {
        if (at + j < size) few += loss(widen(x[at + j]), widen(t[at + j]));
      }
    }
    sum += few;
  }
  sum = block_reduce(sum, shared_memory<double>(), Plus());
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class Loss, class T>
void forward(const T* x, const T* t, T* loss, int64_t size, Reduction reduction, double* partial,
             Stream stream) {
  if (reduction == Reduction::kNone) return map(Loss(), size, stream, loss, x, t);
  const int64_t blocks = std::min(ceil_div(size, kPointwisePerBlock), kMaxPartials);
  if (size > 0) {
    const bool aligned = vectors_fit<kNeighbours>(x, 0) && vectors_fit<kNeighbours>(t, 0);
    launch(sum_kernel<Loss, T>, static_cast<unsigned>(blocks), kBlock,
           kBlock / kWarp * sizeof(double), stream, x, t, size, partial, aligned);
  }
  total(partial, blocks, size, reduction, loss, stream);
}

template <class Loss, class T>
void backward(const T* gloss, const T* x, const T* t, T* gx, int64_t size, Reduction reduction,
              Stream stream) {
  if (reduction == Reduction::kNone) {
    return map(GradientOfEach<Loss>(), size, stream, gx, gloss, x, t);
  }
  const float divisor = reduction == Reduction::kMean ? static_cast<float>(size) : 1.f;
  map(GradientOfTotal<Loss, T>{gloss, divisor}, size, stream, gx, x, t);
}

}  // namespace

template <class T>
void bce_with_logits_fwd(const T* x, const T* t, T* loss, int64_t size, Reduction reduction,
                         double* partial, Stream stream) {
  forward<Bce>(x, t, loss, size, reduction, partial, stream);
}
template <class T>
void bce_with_logits_bwd(const T* gloss, const T* x, const T* t, T* gx, int64_t size,
                         Reduction reduction, Stream stream) {
  backward<Bce>(gloss, x, t, gx, size, reduction, stream);
}
template <class T>
void mse_fwd(const T* x, const T* t, T* loss, int64_t size, Reduction reduction, double* partial,
             Stream stream) {
  forward<Mse>(x, t, loss, size, reduction, partial, stream);
}
template <class T>
void mse_bwd(const T* gloss, const T* x, const T* t, T* gx, int64_t size, Reduction reduction,
             Stream stream) {
  backward<Mse>(gloss, x, t, gx, size, reduction, stream);
}

template void bce_with_logits_fwd(const float*, const float*, float*, int64_t, Reduction, double*,
                                  Stream);
template void bce_with_logits_bwd(const float*, const float*, const float*, float*, int64_t,
                                  Reduction, Stream);
template void mse_fwd(const float*, const float*, float*, int64_t, Reduction, double*, Stream);
template void mse_bwd(const float*, const float*, const float*, float*, int64_t, Reduction, Stream);

}  // namespace fc::cuda
