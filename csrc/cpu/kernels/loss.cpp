// Element-wise losses of x against t, each value or their sum:
//
//   bce  max(x, 0) - x*t + log(1 + e^-|x|)       gx = g * (sigmoid(x) - t)
//   mse  (x - t)^2                               gx = g * 2 * (x - t)
//
// Sums run over chunks of kChunk values, in double, and are combined in order.
#include "cpu/loss.h"

#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kChunk = 4096;

struct Bce {
  template <class T>
  static T value(T x, T t) {
    const T positive = x < T(0) ? T(0) : x;
    return positive - x * t + fast_log1p(fast_exp(x < T(0) ? x : -x));
  }
  template <class T>
  static T slope(T x, T t) {
    return logistic(x) - t;
  }
};

struct Mse {
  template <class T>
  static T value(T x, T t) {
    return (x - t) * (x - t);
  }
  template <class T>
  static T slope(T x, T t) {
    return T(2) * (x - t);
  }
};

int64_t scratch_size(int64_t n) { return ceil_div(n, kChunk); }

template <class Loss, class T>
void each(const T* x, const T* t, T* loss, int64_t n) {
  parallel(n, grain_for(6), [&](int64_t begin, int64_t end, int) {
    FC_INDEPENDENT
    for (int64_t i = begin; i < end; ++i) loss[i] = Loss::value(x[i], t[i]);
  });
}

template <class Loss, class T>
double sum(const T* x, const T* t, int64_t n, double* partial) {
  const int64_t chunks = ceil_div(n, kChunk);
  parallel(chunks, grain_for(6 * kChunk), [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t at = chunk * kChunk;
      partial[chunk] = sum_of<double>(min_of(kChunk, n - at), [=](int64_t i) {
        return static_cast<double>(Loss::value(x[at + i], t[at + i]));
      });
    }
  });
  double total = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) total += partial[chunk];
  return total;
}

template <class Loss, class T>
void grad(const Upstream<T>& g, const T* x, const T* t, T* gx, int64_t n) {
  parallel(n, grain_for(6), [&](int64_t begin, int64_t end, int) {
    if (g.each) {
      FC_INDEPENDENT
      for (int64_t i = begin; i < end; ++i) gx[i] = Loss::slope(x[i], t[i]) * g.each[i];
    } else {
      FC_INDEPENDENT
      for (int64_t i = begin; i < end; ++i) gx[i] = Loss::slope(x[i], t[i]) * g.all;
    }
  });
}

template <class T>
constexpr LossFunctions<T> kTable = {scratch_size, each<Bce, T>, sum<Bce, T>, grad<Bce, T>,
                                     each<Mse, T>, sum<Mse, T>,  grad<Mse, T>};

}  // namespace

LossKernels loss_kernels() { return {kTable<float>, kTable<double>}; }

}  // namespace fc::FC_ISA
