// The inner product of the weight gradient: C[i][j] (+)= sum_pixels a[pixel][i] * b[pixel][j], a
// tile of R rows x V vectors held in registers while the pixels of a chunk pass by.
#pragma once

#include "cpu/kernels/ahead.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/stream.h"

namespace fc::FC_ISA {
namespace {

// columns of a panel of B
template <class T>
constexpr int64_t kNr = 2 * kVw<T>;

// `count` pixels in a row: pixel and pixel + 1, ... of a; b_pixel, b_pixel + step, ... of b.
struct Run {
  int32_t pixel, b_pixel, count;
};

template <class T>
struct ReduceTile {
  Ahead ahead_a, ahead_b;  // one step per pixel
  const Run* runs = nullptr;
  int64_t run_count = 0;
  const T* a;  // (pixels, lda), R of them used
  int64_t lda;
  const T* b;  // (pixels of b, pitch), V * kVw of them used
  int64_t pitch;
  int64_t step;       // between the pixels of b
  T* copy = nullptr;  // (pixels, V * kVw) of what is read of b, for the tiles that follow; or null
  T* c;
  int64_t ldc;
  int64_t last;  // columns of the last vector
  bool accumulate;
  bool stream = false;  // write past the caches
};

template <class T, int R, int V, bool kCopies>
void reduce_tile(ReduceTile<T>& t) {
  Ahead ahead_a = t.ahead_a, ahead_b = t.ahead_b;
  T* copy = t.copy;
  Vec<T> acc[R][V] = {};
  for (int64_t i = 0; i < t.run_count; ++i) {
    const Run& run = t.runs[i];
    const T* a = t.a + run.pixel * t.lda;
    const T* b = t.b + run.b_pixel * t.pitch;
    const int64_t step = t.step * t.pitch;
    for (int32_t q = 0; q < run.count; ++q) {
      Vec<T> column[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) column[v] = load(b + v * kVw<T>);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec<T> row = broadcast(a[r]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) acc[r][v] = madd<T>(row, column[v], acc[r][v]);
      }
      if constexpr (kCopies) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          prefetch(b + 16 * step + v * kVw<T>);
          store(copy + v * kVw<T>, column[v]);
        }
        copy += V * kVw<T>;
      }
      a += t.lda;
      ahead_a.fetch();
      ahead_b.fetch();
      b += step;
    }
  }
  t.ahead_a = ahead_a;
  t.ahead_b = ahead_b;
  const Part<T> last(t.last);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    T* c = t.c + r * t.ldc;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      if (v < V - 1 || last.full()) {
        if (t.accumulate) acc[r][v] += load(c + v * kVw<T>);
        t.stream ? stream_vector<T>(c + v * kVw<T>, acc[r][v]) : store(c + v * kVw<T>, acc[r][v]);
      } else {
        if (t.accumulate) acc[r][v] += last.load(c + v * kVw<T>);
        last.store(c + v * kVw<T>, acc[r][v]);
      }
    }
  }
}

template <class T, int R = kMrNarrow>
inline void reduce(int rows, int vecs, ReduceTile<T>& t) {
  if constexpr (R > 1) {
    if (rows < R) return reduce<T, R - 1>(rows, vecs, t);
  }
  if constexpr (R <= kMr) {
    if (vecs == 2) return t.copy ? reduce_tile<T, R, 2, true>(t) : reduce_tile<T, R, 2, false>(t);
  }
  reduce_tile<T, R, 1, false>(t);
}

}  // namespace
}  // namespace fc::FC_ISA
