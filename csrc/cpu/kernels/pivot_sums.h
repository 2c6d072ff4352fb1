// Sums of a result's rows and of their squares, channel by channel, for batch norm.
//
// They are taken around the first row: what is squared is then the spread, and float rounding does
// not drown the variance of channels with a large mean. About a hundred rows are summed in T, then
// added in float64.
//
// `around` is (3, pitch): the first row, the sum and the sum of squares of what differs from it.
#pragma once

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kPivotRows = 112;  // to be summed in T

// R rows of V vectors; first: of all that are summed
template <class T, int R, int V>
inline void add_around(const Vec<T> (&acc)[R][V], T* around, int64_t pitch, bool first) {
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v, around += kVw<T>) {
    const Vec<T> pivot = first ? acc[0][v] : load(around);
    Vec<T> sum = first ? Vec<T>{} : load(around + pitch);
    Vec<T> square = first ? Vec<T>{} : load(around + 2 * pitch);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec<T> d = acc[i][v] - pivot;
      sum += d;
      square = madd<T>(d, d, square);
    }
    store(around, pivot);
    store(around + pitch, sum);
    store(around + 2 * pitch, square);
  }
}

// sums, squares += those of so many rows, the first row taken out again
template <class T>
void add_to_sums(const T* around, int64_t pitch, int64_t rows, int64_t columns, double* sums,
                 double* squares) {
  const double count = static_cast<double>(rows);
  for (int64_t c = 0; c < columns; ++c) {
    const double a = around[c], b = around[pitch + c];
    sums[c] += count * a + b;
    squares[c] += count * a * a + 2 * a * b + around[2 * pitch + c];
  }
}

}  // namespace
}  // namespace fc::FC_ISA
