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
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pivot_sums.h"
#include "cpu/kernels/prefetch.h"
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

  T* const* out;       // (kMr): each row of the result at column 0
  int64_t column;      // first column of the panel
  T* const* next_out;  // of the tile that follows: its rows, next_rows of them, and column
  int64_t next_rows, next_column;
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

// Asks for what the epilogue touches in a row of the result.
template <class T, int V>
inline void ask_for_row(const Tile<T>& t, const T* out) {
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    if (!t.stream) prefetch(out + v * kVw<T>);
    if (t.residual) prefetch(t.residual + (out - t.c) + v * kVw<T>);
  }
}

// The rows of the next tile, a few at a time while this one is summed: the core cannot wait for all
// of them at once and still read A and B.
template <class T, int V>
class NextRows {
 public:
  NextRows(const Tile<T>& t, int64_t chunks)
      : t_(t),
        each_(chunks > 0 ? ceil_div(kMr, chunks) : 0),
        rows_(t.residual || !t.stream ? t.next_rows : 0) {}

  // once per chunk of the sum
  void ask() {
    for (const int64_t end = least(row_ + each_, rows_); row_ < end; ++row_) {
      ask_for_row<T, V>(t_, t_.next_out[row_] + t_.next_column);
    }
  }

 private:
  const Tile<T>& t_;
  const int64_t each_, rows_;
  int64_t row_ = 0;
};

// not inlined: its registers are then not shared with what surrounds the call
template <class T, int R, int V>
__attribute__((noinline)) void multiply_tile(Tile<T>& t) {
  constexpr int64_t kChunk = 8;
  if (!t.next_out) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) ask_for_row<T, V>(t, t.out[i] + t.column);
  }
  NextRows<T, V> next(t, t.tap_count * ceil_div(t.run, kChunk));
  Ahead ahead = t.ahead;
  Vec<T> acc[R][V] = {};
  for (int64_t u = 0; u < t.tap_count; ++u) {
    const T* a[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) a[i] = t.rows[u * kMr + i] + t.skip;
    const T* b = t.b + t.taps[u] * t.run * V * kVw<T>;
    for (int64_t c = 0; c < t.run;) {
      const int64_t end = least(c + kChunk, t.run);
      ahead.fetch_lines(end - c);
      next.ask();
      if constexpr (V == 1) {
        // few results per row: reading the rows' pointers from the stack is shared by kSteps
        // channels
        constexpr int kSteps = 4;
        for (; c + kSteps <= end; c += kSteps, b += kSteps * kVw<T>) {
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
      for (; c < end; ++c) {
        Vec<T> column[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) column[v] = load(b + v * kVw<T>);
        b += V * kVw<T>;
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
          const Vec<T> row = broadcast(a[i][c]);
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) acc[i][v] = madd<T>(row, column[v], acc[i][v]);
        }
      }
    }
  }
  t.ahead = ahead;
  finish_tile<T, R, V>(acc, t);
}

// One instance per number of rows: cutting m into equal tiles leaves no short one.
template <class T, int R = kMr>
inline void multiply(int rows, int vecs, Tile<T>& t) {
  if constexpr (R > 1) {
    if (rows < R) return multiply<T, R - 1>(rows, vecs, t);
  }
  vecs == 1 ? multiply_tile<T, R, 1>(t) : multiply_tile<T, R, 2>(t);
}

}  // namespace
}  // namespace fc::FC_ISA
