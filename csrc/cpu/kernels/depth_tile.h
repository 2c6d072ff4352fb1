// The inner loop of depthwise convolution: R pixels of all channels, V vectors of channels at a
// time.
//
//   out[i][c] = epilogue(sum_tap rows[tap][i][c] * w[tap][c])
//
// Pixels are found through a pointer per tap (rows.h), so the image is read where it lies.
//
// Error bound: |y - y64| <= c * sqrt(L) * eps * sum |a b| with c = 1 (L products in order).
#pragma once

#include "conv2d.h"
#include "cpu/kernels/act_block.h"
#include "cpu/kernels/ahead.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

constexpr int kFetches = 4;

template <class T>
struct DepthTile {
  TileRows<T> rows;
  const T* w;          // (taps, pitch)
  int64_t pitch;       // channels, in whole vectors
  int64_t begin, end;  // channels [begin, end), begin in whole vectors
  const T* c;          // the result's base
  const Epilogue<T>* epilogue;
  // sums around the block's first pixel: (3, pitch): pivot, sum, sum of squares; or null
  T* around;
  bool first;   // tile of the block: sets the pivot
  Ahead ahead;  // kFetches steps per tap and step of channels
};

// Sums of a tile around a pivot that the block's first pixel gives: what is squared is the spread.
template <class T, int R>
inline void add_around(const Vec<T>* acc, int stride, T* around, int64_t pitch, bool first) {
  const Vec<T> pivot = first ? acc[0] : load(around);
  Vec<T> sum = first ? Vec<T>{} : load(around + pitch);
  Vec<T> square = first ? Vec<T>{} : load(around + 2 * pitch);
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    const Vec<T> d = acc[i * stride] - pivot;
    sum += d;
    square = madd<T>(d, d, square);
  }
  store(around, pivot);
  store(around + pitch, sum);
  store(around + 2 * pitch, square);
}

// Channels [c, c + V vectors), of which `last` holds those of the last vector.
template <class T, int R, int V, bool kWhole>
__attribute__((always_inline)) inline void depth_step(DepthTile<T>& t, int64_t c,
                                                      const Part<T>& last) {
  const auto get = [&](const T* p, int v) {
    if constexpr (kWhole) return load(p + v * kVw<T>);
    return last.load(p + v * kVw<T>);
  };
  if constexpr (V == 2) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      __builtin_prefetch(t.rows.out[i] + c + 2 * kVw<T>, 1);
      __builtin_prefetch(t.rows.out[i] + c + 3 * kVw<T>, 1);
    }
  }
  Vec<T> acc[R][V] = {};
  for (int64_t u = 0; u < t.rows.tap_count; ++u) {
    const T* const* rows = t.rows.rows + u * kMr;
    const T* w = t.w + t.rows.taps[u] * t.pitch + c;
#pragma GCC unroll 4
    for (int f = 0; f < kFetches; ++f) t.ahead.fetch();
    Vec<T> ws[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) ws[v] = load(w + v * kVw<T>);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const T* x = rows[i] + c;
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] = madd<T>(get(x, v), ws[v], acc[i][v]);
    }
  }
  const Epilogue<T>& e = *t.epilogue;
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    if (e.scale) {
      const Vec<T> scale = get(e.scale + c, v);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) acc[i][v] *= scale;
    }
    if (e.shift) {
      const Vec<T> shift = get(e.shift + c, v);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) acc[i][v] += shift;
    }
    if (t.around) {
      add_around<T, R>(&acc[0][v], V, t.around + c + v * kVw<T>, t.pitch, t.first);
    }
  }
  if (e.residual) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] += get(e.residual + (t.rows.out[i] - t.c) + c, v);
    }
  }
  if (e.act.code == kRelu) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] = acc[i][v] < 0 ? Vec<T>{} : acc[i][v];
    }
  } else if (e.act.code != kIdentity) {
    alignas(64) T block[R * V * kVw<T>];
    __builtin_memcpy(block, acc, sizeof block);
    act_block(block, block, R * V * kVw<T>, e.act);
    __builtin_memcpy(acc, block, sizeof block);
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    T* out = t.rows.out[i] + c;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      if constexpr (kWhole) {
        store(out + v * kVw<T>, acc[i][v]);
      } else {
        last.store(out + v * kVw<T>, acc[i][v]);
      }
    }
  }
}

template <class T, int R>
__attribute__((noinline)) void depth_tile(DepthTile<T>& t) {
  const Part<T> last(t.end % kVw<T> ? t.end % kVw<T> : kVw<T>);
  int64_t c = t.begin;
  for (; c + 2 * kVw<T> <= t.end; c += 2 * kVw<T>) depth_step<T, R, 2, true>(t, c, last);
  if (c + kVw<T> <= t.end) {
    depth_step<T, R, 1, true>(t, c, last);
    c += kVw<T>;
  }
  if (c < t.end) depth_step<T, R, 1, false>(t, c, last);
}

template <class T, int R = kMr>
inline void depth_tile_of(int rows, DepthTile<T>& t) {
  if constexpr (R > 1) {
    if (rows < R) return depth_tile_of<T, R - 1>(rows, t);
  }
  depth_tile<T, R>(t);
}

}  // namespace
}  // namespace fc::FC_ISA
