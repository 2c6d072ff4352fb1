// The inner product of forward, input gradient, linear and @: a register tile of R rows x V
// vectors.
//
//   out[i][j] = epilogue(sum_{tap, c} rows[tap][i][c] * b[tap][c][j])
//
// A row of A is found through a pointer per tap, so an image is read where it lies: nothing is
// copied, and rows may be any pixels. All of the sum stays in registers, in the order (tap, c):
// the bits of an element do not depend on the tile it falls into.
//
// Error bound: |y - y64| <= c * sqrt(L) * eps * sum |a b| with c = 1 (L products in order).
#pragma once

#include "cpu/kernels/ahead.h"
#include "cpu/kernels/finish.h"
#include "cpu/kernels/pivot_sums.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

// a panel of B has two vectors of columns; the last one may have one
constexpr int kTileVecs = 2;
template <class T>
constexpr int kNr = kTileVecs * kVw<T>;

template <class T>
struct Tile {
  const T* const* rows;  // (tap_count, kMr)
  const int32_t* taps;   // (tap_count): the taps with a row inside the image
  int64_t tap_count, run;
  int64_t skip;  // elements from a row's pointer to the group's first channel
  const T* b;    // (taps, run, vecs * kVw), columns beyond the matrix 0

  Ahead ahead;  // one step per row of b

  T* const* out;      // (kMr): each row of the result at column 0
  int64_t column;     // first column of the panel
  int64_t last;       // columns of the last vector
  bool accumulate;    // C += ...
  bool stream;        // write past the caches
  const T* scale;     // of the panel's columns, or null
  const T* shift;     // of the panel's columns, or null
  const T* residual;  // as out is to c
  const T* c;         // the result's base
  Activation act;
  // sums over the rows (pivot_sums.h), before residual and activation: (3, kNr) or null
  T* around;
  bool first;  // of the rows summed there
};

template <class T, int R, int V>
inline void finish_tile(Vec<T> (&acc)[R][V], const Tile<T>& t) {
  const Part<T> last(t.last);
  if (t.accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] += load_part<T, V>(t.out[i] + t.column, v, last);
    }
  }
  scale_and_shift<T, R, V>(acc, t.scale, t.shift, last);
  if (t.around) add_around<T, R, V>(acc, t.around, kNr<T>, t.first);
  finish_rows<T, R, V>(acc, t.out, t.column, t.residual, t.c, t.act, t.stream, last);
}

template <class T, int R, int V, bool kAhead>
void multiply_tile(Tile<T>& t) {
  // what the epilogue touches comes while the sum is made
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    const T* out = t.out[i] + t.column;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      if (!t.stream) __builtin_prefetch(out + v * kVw<T>, 1);
      if (t.residual) __builtin_prefetch(t.residual + (out - t.c) + v * kVw<T>);
    }
  }
  Ahead ahead = t.ahead;
  Vec<T> acc[R][V] = {};
  for (int64_t u = 0; u < t.tap_count; ++u) {
    const T* a[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) a[i] = t.rows[u * kMr + i] + t.skip;
    const T* b = t.b + t.taps[u] * t.run * V * kVw<T>;
    int64_t c = 0;
    if constexpr (V == 1) {
      // few results per row: reading the rows' pointers from the stack is shared by kSteps channels
      constexpr int kSteps = 4;
      for (; c + kSteps <= t.run; c += kSteps, b += kSteps * kVw<T>) {
        Vec<T> column[kSteps];
#pragma GCC unroll 4
        for (int s = 0; s < kSteps; ++s) column[s] = load(b + s * kVw<T>);
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
          const T* row = a[i] + c;
#pragma GCC unroll 4
          for (int s = 0; s < kSteps; ++s) {
            acc[i][0] = madd<T>(broadcast(row[s]), column[s], acc[i][0]);
          }
        }
      }
    }
    for (; c < t.run; ++c) {
      Vec<T> column[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) column[v] = load(b + v * kVw<T>);
      b += V * kVw<T>;
      if constexpr (kAhead) ahead.fetch();
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        const Vec<T> row = broadcast(a[i][c]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[i][v] = madd<T>(row, column[v], acc[i][v]);
      }
    }
  }
  if constexpr (kAhead) t.ahead = ahead;
  finish_tile<T, R, V>(acc, t);
}

// One instance per number of rows: cutting m into equal tiles leaves no short one.
template <class T, int R = kMr>
inline void multiply(int rows, int vecs, Tile<T>& t) {
  if constexpr (R > 1) {
    if (rows < R) return multiply<T, R - 1>(rows, vecs, t);
  }
  if constexpr (R == kMr) {
    if (vecs == 2 && t.ahead.step > 0) return multiply_tile<T, R, 2, true>(t);
  }
  vecs == 1 ? multiply_tile<T, R, 1, false>(t) : multiply_tile<T, R, 2, false>(t);
}

}  // namespace
}  // namespace fc::FC_ISA
