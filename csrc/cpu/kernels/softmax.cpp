// Softmax and cross-entropy over the rows of x (rows, C); m = max of the row, s = sum e^(x - m):
//
//   softmax        y = e^(x - m) / s                    gx = y * (gy - sum gy*y)
//   log-softmax    y = x - m - log s                    gx = gy - e^y * sum gy
//   cross-entropy  lse = m + log s; loss = lse - (1-a)*x[label] - a*mean(x), a the smoothing
//                  gx = g * (e^(x - lse) - (1-a)*[c = label] - a/C)
#include "cpu/kernels/vmath.h"
#include "cpu/loss.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
inline T largest(const T* x, int64_t n) {
  T lanes[kLanes];
  fill<T>(lanes, kLanes, -INFINITY);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  }
  for (int l = 0; i + l < n; ++l) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  T best = lanes[0];
  for (int l = 1; l < kLanes; ++l) best = max_of(best, lanes[l]);
  return best;  // NaN is passed over here and comes back through e^(x - m)
}

template <class T>
void softmax(const T* x, T* y, int64_t rows, int64_t c, bool log) {
  parallel(rows, grain_for(6 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* in = x + row * c;
      T* out = y + row * c;
      const T m = largest(in, c);
      if (log) {
        const T s = sum_of<T>(c, [=](int64_t i) { return fast_exp(in[i] - m); });
        const T log_s = static_cast<T>(::log(static_cast<double>(s)));
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] = in[i] - m - log_s;
      } else {
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] = fast_exp(in[i] - m);
        const T s = sum_of<T>(c, [=](int64_t i) { return out[i]; });
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] /= s;
      }
    }
  });
}

template <class T>
void softmax_grad(const T* gy, const T* y, T* gx, int64_t rows, int64_t c, bool log) {
  parallel(rows, grain_for(6 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T *g = gy + row * c, *v = y + row * c;
      T* out = gx + row * c;
      if (log) {
        const T total = sum_of<T>(c, [=](int64_t i) { return g[i]; });
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] = g[i] - fast_exp(v[i]) * total;
      } else {
        const T total = sum_of<T>(c, [=](int64_t i) { return g[i] * v[i]; });
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] = v[i] * (g[i] - total);
      }
    }
  });
}

template <class T>
void cross_entropy(const T* logits, const int64_t* labels, double* loss, T* lse, int64_t rows,
                   int64_t c, double smoothing) {
  parallel(rows, grain_for(6 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* in = logits + row * c;
      const T m = largest(in, c);
      const T s = sum_of<T>(c, [=](int64_t i) { return fast_exp(in[i] - m); });
      const double log_s = ::log(static_cast<double>(s)), top = m;
      lse[row] = static_cast<T>(top + log_s);
      // the weights of the formula add up to 1, so every logit may be taken relative to the largest
      double value = log_s + (1 - smoothing) * (top - in[labels[row]]);
      if (smoothing != 0) {
        const T below = sum_of<T>(c, [=](int64_t i) { return m - in[i]; });
        value += smoothing * (below / static_cast<double>(c));
      }
      loss[row] = value;
    }
  });
}

template <class T>
void cross_entropy_grad(const Upstream<T>& g, const T* logits, const int64_t* labels, const T* lse,
                        T* gx, int64_t rows, int64_t c, double smoothing) {
  const T at_label = static_cast<T>(1 - smoothing), spread = static_cast<T>(smoothing / c);
  parallel(rows, grain_for(6 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* in = logits + row * c;
      T* out = gx + row * c;
      const T total = lse[row], scale = g.each ? g.each[row] : g.all;
      FC_INDEPENDENT
      for (int64_t i = 0; i < c; ++i) out[i] = fast_exp(in[i] - total) - spread;
      out[labels[row]] -= at_label;
      FC_INDEPENDENT
      for (int64_t i = 0; i < c; ++i) out[i] *= scale;
    }
  });
}

}  // namespace

SoftmaxKernels softmax_kernels() {
  return {
      {softmax<float>, softmax_grad<float>, cross_entropy<float>, cross_entropy_grad<float>},
      {softmax<double>, softmax_grad<double>, cross_entropy<double>, cross_entropy_grad<double>}};
}

}  // namespace fc::FC_ISA
