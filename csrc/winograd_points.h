// The one-dimensional transforms of F(4,3): four outputs of a correlation with three taps from six
// inputs, by six multiplications instead of twelve,
//
//   y = A' [(G w) .* (B' d)]           Lavin, Gray 2015, "Fast Algorithms for Convolutional Neural
//                                      Networks"; in two dimensions every line, then every column
//
// The products of polynomials are taken at 0, +a, -a, +b, -b and infinity. a = 1, b = 2 are usual;
// a = 5/8, b = 3/2 leave a fifth of their rounding error, since no power of them is large or small,
// and the constants below are as exact. Opposite points share their even and odd parts.
//
// T is the scalar type, V it or a vector of it; fma(T, V, V) multiplies and adds.
#pragma once

#include "host_device.h"

namespace fc::winograd {

constexpr int kOutputs = 4, kTaps = 3, kPoints = 6;  // along an axis
constexpr int kFrequencies = kPoints * kPoints;      // of a patch
// a, b, and their squares
template <class T>
struct Points {
  static constexpr T a = T(5) / 8, b = T(3) / 2, a2 = a * a, b2 = b * b;
};

// B': row p holds the coefficients of prod (x - q) over the other points; infinity's, of all.
template <class T, class V, class Fma>
static inline FC_HOST_DEVICE void transform_input(const V (&d)[kPoints], V (&v)[kPoints], Fma fma) {
  constexpr T a = Points<T>::a, b = Points<T>::b, a2 = Points<T>::a2, b2 = Points<T>::b2;
  constexpr T sum = a2 + b2, product = a2 * b2;
  v[0] = fma(product, d[0], fma(-sum, d[2], d[4]));
  const V even_a = fma(-b2, d[2], d[4]), odd_a = a * fma(-b2, d[1], d[3]);
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  const V even_b = fma(-a2, d[2], d[4]), odd_b = b * fma(-a2, d[1], d[3]);
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = fma(product, d[1], fma(-sum, d[3], d[5]));
}

// G: row p is (1, p, p^2) / prod (p - q) over the other points; infinity's, (0, 0, 1).
template <class T, class V, class Fma>
static inline FC_HOST_DEVICE void transform_weights(const V (&w)[kTaps], V (&u)[kPoints], Fma fma) {
  constexpr T a = Points<T>::a, b = Points<T>::b, a2 = Points<T>::a2, b2 = Points<T>::b2;
  constexpr T at_0 = 1 / (a2 * b2), at_a = 1 / (2 * a2 * (a2 - b2)),
              at_b = 1 / (2 * b2 * (b2 - a2));
  u[0] = at_0 * w[0];
  const V even_a = fma(a2, w[2], w[0]), odd_a = a * w[1];
  u[1] = at_a * (even_a + odd_a);
  u[2] = at_a * (even_a - odd_a);
  const V even_b = fma(b2, w[2], w[0]), odd_b = b * w[1];
  u[3] = at_b * (even_b + odd_b);
  u[4] = at_b * (even_b - odd_b);
  u[5] = w[2];
}

// A': row i is p^i; infinity's column is (0, 0, 0, 1).
template <class T, class V, class Fma>
static inline FC_HOST_DEVICE void transform_output(const V (&m)[kPoints], V (&y)[kOutputs],
                                                   Fma fma) {
  constexpr T a = Points<T>::a, b = Points<T>::b, a2 = Points<T>::a2, b2 = Points<T>::b2;
  const V even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const V even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + (even_a + even_b);
  y[1] = fma(a, odd_a, b * odd_b);
  y[2] = fma(a2, even_a, b2 * even_b);
  y[3] = fma(a2 * a, odd_a, fma(b2 * b, odd_b, m[5]));
}

// The gradient by the weights is the sum over tiles of G' [(B' d B) .* (A gy A')] G.

// A
template <class T, class V, class Fma>
static inline FC_HOST_DEVICE void transform_gradient(const V (&y)[kOutputs], V (&m)[kPoints],
                                                     Fma fma) {
  constexpr T a = Points<T>::a, b = Points<T>::b, a2 = Points<T>::a2, b2 = Points<T>::b2;
  m[0] = y[0];
  const V even_a = fma(a2, y[2], y[0]), odd_a = a * fma(a2, y[3], y[1]);
  m[1] = even_a + odd_a;
  m[2] = even_a - odd_a;
  const V even_b = fma(b2, y[2], y[0]), odd_b = b * fma(b2, y[3], y[1]);
  m[3] = even_b + odd_b;
  m[4] = even_b - odd_b;
  m[5] = y[3];
}

// G'
template <class T, class V, class Fma>
static inline FC_HOST_DEVICE void transform_sums(const V (&u)[kPoints], V (&w)[kTaps], Fma fma) {
  constexpr T a = Points<T>::a, b = Points<T>::b, a2 = Points<T>::a2, b2 = Points<T>::b2;
  constexpr T at_0 = 1 / (a2 * b2), at_a = 1 / (2 * a2 * (a2 - b2)),
              at_b = 1 / (2 * b2 * (b2 - a2));
  const V even_a = u[1] + u[2], odd_a = u[1] - u[2];
  const V even_b = u[3] + u[4], odd_b = u[3] - u[4];
  w[0] = fma(at_0, u[0], fma(at_a, even_a, at_b * even_b));
  w[1] = fma(a * at_a, odd_a, (b * at_b) * odd_b);
  w[2] = fma(a2 * at_a, even_a, fma(b2 * at_b, even_b, u[5]));
}

}  // namespace fc::winograd
