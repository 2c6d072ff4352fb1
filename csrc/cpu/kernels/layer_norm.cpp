// Layer normalisation over the last axis of x (rows, C):
//
//   mean = sum x / C; var = sum (x - mean)^2 / C; rstd = 1/sqrt(var + eps)
//   y = (x - mean)*rstd*gamma + beta
//   g = gy*gamma; gx = rstd * (g - mean(g) - xhat*mean(g*xhat)); xhat = (x - mean)*rstd
//   ggamma = sum over rows of gy*xhat; gbeta = sum over rows of gy
//
// The sums over rows run over chunks that the shape fixes and are combined in order.
#include "cpu/kernels/vmath.h"
#include "cpu/norm.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
void forward(const T* x, const T* gamma, const T* beta, T* y, T* mean, T* rstd, int64_t rows,
             int64_t c, double eps) {
  parallel(rows, grain_for(4 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* in = x + row * c;
      T* out = y + row * c;
      const T m = sum_of<T>(c, [=](int64_t i) { return in[i]; }) / static_cast<T>(c);
      const T squares = sum_of<T>(c, [=](int64_t i) { return (in[i] - m) * (in[i] - m); });
      const T r = T(1) / sqrt_of(squares / static_cast<T>(c) + static_cast<T>(eps));
      mean[row] = m;
      rstd[row] = r;
      if (gamma && beta) {
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] = (in[i] - m) * r * gamma[i] + beta[i];
        continue;
      }
      FC_INDEPENDENT
      for (int64_t i = 0; i < c; ++i) out[i] = (in[i] - m) * r;
      if (gamma) {
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] *= gamma[i];
      }
      if (beta) {
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) out[i] += beta[i];
      }
    }
  });
}

template <class T>
void input_gradient(const LayerNormGrad<T>& a, int64_t row) {
  const int64_t c = a.c;
  const T *gy = a.gy + row * c, *x = a.x + row * c, *gamma = a.gamma;
  T* gx = a.gx + row * c;
  const T mean = a.mean[row], rstd = a.rstd[row];
  FC_INDEPENDENT
  for (int64_t i = 0; i < c; ++i) gx[i] = gamma ? gy[i] * gamma[i] : gy[i];
  const T g_mean = sum_of<T>(c, [=](int64_t i) { return gx[i]; }) / static_cast<T>(c);
  const T slope = sum_of<T>(c, [=](int64_t i) { return gx[i] * (x[i] - mean); }) * rstd * rstd /
                  static_cast<T>(c);
  FC_INDEPENDENT
  for (int64_t i = 0; i < c; ++i) gx[i] = rstd * (gx[i] - g_mean - (x[i] - mean) * slope);
}

int64_t rows_of_chunk(int64_t rows) { return max_of<int64_t>(16, ceil_div(rows, 64)); }

// doubles: (chunks, 2, C) partial sums; at least one chunk
int64_t scratch_size(int64_t rows, int64_t c) {
  return max_of<int64_t>(1, ceil_div(rows, rows_of_chunk(rows))) * 2 * c;
}

template <class T>
void backward(const LayerNormGrad<T>& a, double* scratch) {
  const int64_t c = a.c, size = rows_of_chunk(a.rows), chunks = ceil_div(a.rows, size);
  fill(scratch, 2 * c, 0.0);
  parallel(chunks, grain_for(size * 8 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      double *gamma = scratch + chunk * 2 * c, *beta = gamma + c;
      fill(gamma, 2 * c, 0.0);
      for (int64_t row = chunk * size; row < min_of(a.rows, (chunk + 1) * size); ++row) {
        if (a.gx) input_gradient(a, row);
        const T *gy = a.gy + row * c, *x = a.x + row * c;
        const T mean = a.mean[row], rstd = a.rstd[row];
        FC_INDEPENDENT
        for (int64_t i = 0; i < c; ++i) {
          gamma[i] += gy[i] * ((x[i] - mean) * rstd);
          beta[i] += gy[i];
        }
      }
    }
  });
  for (int64_t chunk = 1; chunk < chunks; ++chunk) {
    for (int64_t i = 0; i < 2 * c; ++i) scratch[i] += scratch[chunk * 2 * c + i];
  }
  for (int64_t i = 0; i < c; ++i) {
    if (a.ggamma) a.ggamma[i] = static_cast<T>(scratch[i]);
    if (a.gbeta) a.gbeta[i] = static_cast<T>(scratch[c + i]);
  }
}

}  // namespace

LayerNormKernels layer_norm_kernels() {
  return {{forward<float>, scratch_size, backward<float>},
          {forward<double>, scratch_size, backward<double>}};
}

}  // namespace fc::FC_ISA
