// Local response normalisation across channels, NHWC (Krizhevsky et al. 2012, section 3.3):
//
//   scale[c] = k + alpha * sum_{c-size/2 <= j <= c+(size-1)/2} x[j]^2;  y = x * scale^-beta
//   gx[c] = gy[c]*scale[c]^-beta
//           - 2*alpha*beta*x[c] * sum over j whose window holds c of gy[j]*x[j]*scale[j]^(-beta-1)
#include "cpu/kernels/for_vectors.h"
#include "cpu/kernels/vmath.h"
#include "cpu/norm.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// y = x * s^-beta; the paper's exponent has a quicker formula
template <class T>
inline void multiply_by_power(const T* x, const T* s, T* y, int64_t n, double beta) {
  if (beta == 0.75) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
      const T root = sqrt_of(s[i]);
      y[i] = x[i] * (T(1) / (root * sqrt_of(root)));
    }
  } else {
    const InversePower<T> power(beta);
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * power(s[i]);
  }
}

// The channels before and after the first and the last that a window may reach.
struct Reach {
  int64_t before, after;
  Reach(int64_t b, int64_t a, int64_t c) : before(min_of(b, c)), after(min_of(a, c)) {}
};

// room for one row with zeros around it, and for one as it is
int64_t row_scratch(int64_t c) { return 4 * c; }

// chunks of rows that share scratch rows
int64_t chunks_of(int64_t rows) { return min_of<int64_t>(rows, 64); }

int64_t scratch_size(int64_t rows, int64_t c) { return row_scratch(c) * chunks_of(rows); }

// f(row, padded, plain) for every row; padded points at a row between zeros. The scratch rows
// belong to chunks, so no two threads share one.
template <class T, class F>
inline void for_rows(int64_t rows, int64_t c, const Reach& reach, T* scratch, F f) {
  const int64_t chunks = chunks_of(rows);
  if (rows == 0) return;
  parallel(chunks, grain_for(rows / chunks * c * 16), [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      T* padded = scratch + chunk * row_scratch(c);
      fill(padded, 3 * c, T(0));
      const int64_t last = (chunk + 1) * rows / chunks;
      for (int64_t row = chunk * rows / chunks; row < last; ++row) {
        f(row, padded + reach.before, padded + 3 * c);
      }
    }
  });
}

// out[c] = sum of v[j] over c - before <= j <= c + after; v has zeros around it
template <class T>
inline void sum_window(const T* v, T* out, int64_t c, const Reach& reach) {
  for_vectors<T>(c, [&](auto sum, int64_t i) {
    for (int64_t d = -reach.before; d <= reach.after; ++d) {
      auto term = sum;
      read(v + i + d, term);
      sum += term;
    }
    write(out + i, sum);
  });
}

template <class T>
void forward(const T* x, T* y, T* scale, int64_t rows, int64_t c, int64_t size, double alpha,
             double beta, double k, T* scratch) {
  const T a = static_cast<T>(alpha), offset = static_cast<T>(k);
  const Reach reach(size / 2, (size - 1) / 2, c);
  for_rows(rows, c, reach, scratch, [&](int64_t row, T* squares, T* buffer) {
    const T* in = x + row * c;
    T *s = scale ? scale + row * c : buffer, *out = y + row * c;
    for (int64_t i = 0; i < c; ++i) squares[i] = in[i] * in[i];
    sum_window(squares, s, c, reach);
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) s[i] = offset + a * s[i];
    multiply_by_power(in, s, out, c, beta);
  });
}

template <class T>
void backward(const T* gy, const T* x, const T* scale, T* gx, int64_t rows, int64_t c, int64_t size,
              double alpha, double beta, T* scratch) {
  const T factor = static_cast<T>(2 * alpha * beta);
  const Reach reach((size - 1) / 2, size / 2, c);
  for_rows(rows, c, reach, scratch, [&](int64_t row, T* ratio, T* direct) {
    const T *g = gy + row * c, *in = x + row * c, *s = scale + row * c;
    T* out = gx + row * c;
    multiply_by_power(g, s, direct, c, beta);
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) ratio[i] = direct[i] * in[i] / s[i];
    sum_window(ratio, out, c, reach);
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) out[i] = direct[i] - factor * in[i] * out[i];
  });
}

}  // namespace

LrnKernels lrn_kernels() {
  return {{scratch_size, forward<float>, backward<float>},
          {scratch_size, forward<double>, backward<double>}};
}

}  // namespace fc::FC_ISA
