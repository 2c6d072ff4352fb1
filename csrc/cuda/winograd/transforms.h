// The one-dimensional transforms of F(4,3): four outputs of a correlation with three taps from six
// inputs, by six multiplications instead of twelve,
//
//   y = A' [(G w) .* (B' d)]           Lavin, Gray 2015, "Fast Algorithms for Convolutional Neural
//                                      Networks"; in two dimensions every line, then every column
//
// The products of polynomials are taken at 0, +a, -a, +b, -b and infinity. a = 1, b = 2 are usual;
// a = 5/8, b = 3/2 leave a fifth of their rounding error, since no power of them is large or small,
// and the constants below are as exact. Opposite points share their even and odd parts.
#pragma once

#include "cuda/device/platform.h"

namespace fc::cuda::winograd {

constexpr int kOutputs = 4, kTaps = 3, kPoints = 6;  // along an axis
constexpr int kFrequencies = kPoints * kPoints;      // of a patch
constexpr float kA = 0.625f, kB = 1.5f;
constexpr float kA2 = kA * kA, kB2 = kB * kB;

// B': row p holds the coefficients of prod (x - q) over the other points; infinity's, of all.
FC_DEVICE void transform_input(const float (&d)[kPoints], float (&v)[kPoints]) {
  constexpr float kSum = kA2 + kB2, kProduct = kA2 * kB2;
  v[0] = fmaf(kProduct, d[0], fmaf(-kSum, d[2], d[4]));
  const float even_a = fmaf(-kB2, d[2], d[4]), odd_a = kA * fmaf(-kB2, d[1], d[3]);
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  const float even_b = fmaf(-kA2, d[2], d[4]), odd_b = kB * fmaf(-kA2, d[1], d[3]);
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = fmaf(kProduct, d[1], fmaf(-kSum, d[3], d[5]));
}

// G: row p is (1, p, p^2) / prod (p - q) over the other points; infinity's, (0, 0, 1).
FC_DEVICE void transform_weights(const float (&w)[kTaps], float (&u)[kPoints]) {
  constexpr float kAt0 = 1 / (kA2 * kB2);
  constexpr float kAtA = 1 / (2 * kA2 * (kA2 - kB2)), kAtB = 1 / (2 * kB2 * (kB2 - kA2));
  u[0] = kAt0 * w[0];
  const float even_a = fmaf(kA2, w[2], w[0]), odd_a = kA * w[1];
  u[1] = kAtA * (even_a + odd_a);
  u[2] = kAtA * (even_a - odd_a);
  const float even_b = fmaf(kB2, w[2], w[0]), odd_b = kB * w[1];
  u[3] = kAtB * (even_b + odd_b);
  u[4] = kAtB * (even_b - odd_b);
  u[5] = w[2];
}

// A': row i is p^i; infinity's column is (0, 0, 0, 1).
FC_DEVICE void transform_output(const float (&m)[kPoints], float (&y)[kOutputs]) {
  const float even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const float even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + (even_a + even_b);
  y[1] = fmaf(kA, odd_a, kB * odd_b);
  y[2] = fmaf(kA2, even_a, kB2 * even_b);
  y[3] = fmaf(kA2 * kA, odd_a, fmaf(kB2 * kB, odd_b, m[5]));
}

}  // namespace fc::cuda::winograd
