// Local response normalisation across channels, NHWC (Krizhevsky et al. 2012, section 3.3):
//
//   scale[c] = k + alpha * sum_{c-size/2 <= j <= c+(size-1)/2} x[j]^2;  y = x * scale^-beta
//   gx[c] = gy[c]*scale[c]^-beta
//           - 2*alpha*beta*x[c] * sum over j whose window holds c of gy[j]*x[j]*scale[j]^(-beta-1)
#include "cpu/kernels/vmath.h"
#include "cpu/norm.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// y = s^-beta; the paper's exponent has a formula that vectorises, pow does not
template <class T>
inline void inverse_power(const T* s, T* y, int64_t n, T beta) {
  if (beta == T(0.75)) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
      const T root = sqrt_of(s[i]);
      y[i] = T(1) / (root * sqrt_of(root));
    }
  } else {
    const InversePower<T> power(beta);
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) y[i] = power(s[i]);
  }
}

// out[c] += sum of v[j] over c - before <= j <= c + after, one vectorised pass per offset
template <class T>
inline void add_window(const T* v, T* out, int64_t c, int64_t before, int64_t after) {
  for (int64_t d = -min_of(before, c); d <= min_of(after, c); ++d) {
    const int64_t first = max_of<int64_t>(0, -d), last = min_of(c, c - d);
    FC_INDEPENDENT
    for (int64_t i = first; i < last; ++i) out[i] += v[i + d];
  }
}

// chunks of rows that share one scratch row
int64_t chunks_of(int64_t rows) { return min_of<int64_t>(rows, 64); }

int64_t scratch_size(int64_t rows, int64_t c) { return 2 * c * chunks_of(rows); }

// f(row, scratch (2, C)) for every row; scratch rows belong to chunks, so no two threads share one
template <class T, class F>
inline void for_rows(int64_t rows, int64_t c, int64_t cost, T* scratch, F f) {
  const int64_t chunks = chunks_of(rows);
  if (rows == 0) return;
  parallel(chunks, grain_for(rows / chunks * cost), [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t last = (chunk + 1) * rows / chunks;
      for (int64_t row = chunk * rows / chunks; row < last; ++row) f(row, scratch + chunk * 2 * c);
    }
  });
}

template <class T>
void forward(const T* x, T* y, T* scale, int64_t rows, int64_t c, int64_t size, double alpha,
             double beta, double k, T* scratch) {
  const T a = static_cast<T>(alpha), offset = static_cast<T>(k);
  for_rows(rows, c, c * (size + 8), scratch, [&](int64_t row, T* buffer) {
    const T* in = x + row * c;
    T *squares = buffer, *s = scale ? scale + row * c : buffer + c, *out = y + row * c;
    for (int64_t i = 0; i < c; ++i) squares[i] = in[i] * in[i];
    fill(s, c, T(0));
    add_window(squares, s, c, size / 2, (size - 1) / 2);
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) s[i] = offset + a * s[i];
    inverse_power(s, squares, c, static_cast<T>(beta));
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) out[i] = in[i] * squares[i];
  });
}

template <class T>
void backward(const T* gy, const T* x, const T* scale, T* gx, int64_t rows, int64_t c, int64_t size,
              double alpha, double beta, T* scratch) {
  const T factor = static_cast<T>(2 * alpha * beta);
  for_rows(rows, c, c * (size + 8), scratch, [&](int64_t row, T* buffer) {
    const T *g = gy + row * c, *in = x + row * c, *s = scale + row * c;
    T *power = buffer, *ratio = buffer + c, *out = gx + row * c;
    inverse_power(s, power, c, static_cast<T>(beta));
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) ratio[i] = g[i] * in[i] * power[i] / s[i];
    fill(out, c, T(0));
    add_window(ratio, out, c, (size - 1) / 2, size / 2);
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) out[i] = g[i] * power[i] - factor * in[i] * out[i];
  });
}

}  // namespace

LrnKernels lrn_kernels() {
  return {{scratch_size, forward<float>, backward<float>},
          {scratch_size, forward<double>, backward<double>}};
}

}  // namespace fc::FC_ISA
