// The epilogue on accumulators in registers: R rows of V vectors that go to out[i] + column.
#pragma once

#include "cpu/kernels/act_block.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/simd.h"
#include "cpu/kernels/stream.h"

namespace fc::FC_ISA {
namespace {

// Vector v of V at p; of the last one, the lanes of `last`.
template <class T, int V>
inline Vec<T> load_part(const T* p, int v, const Part<T>& last) {
  return v < V - 1 || last.full() ? load(p + v * kVw<T>) : last.load(p + v * kVw<T>);
}

// acc = acc * scale + shift of the columns; each may be null
template <class T, int R, int V>
inline void scale_and_shift(Vec<T> (&acc)[R][V], const T* scale, const T* shift,
                            const Part<T>& last) {
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    if (scale) {
      const Vec<T> factor = load_part<T, V>(scale, v, last);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) acc[i][v] *= factor;
    }
    if (shift) {
      const Vec<T> term = load_part<T, V>(shift, v, last);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) acc[i][v] += term;
    }
  }
}

// out[i] + column = act(acc + residual); residual, or null, lies as out does to c. stream: past the
// caches (stream.h); vectors are then whole.
template <class T, int R, int V>
inline void finish_rows(Vec<T> (&acc)[R][V], T* const* out, int64_t column, const T* residual,
                        const T* c, const Activation& act, bool stream, const Part<T>& last) {
  if (residual) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const T* from = residual + (out[i] - c) + column;
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] += load_part<T, V>(from, v, last);
    }
  }
  if (act.code == kRelu || act.code == kRelu6) {
    const Vec<T> six = broadcast<T>(6);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        acc[i][v] = acc[i][v] < 0 ? Vec<T>{} : acc[i][v];
        if (act.code == kRelu6) acc[i][v] = acc[i][v] > six ? six : acc[i][v];
      }
    }
  } else if (act.code != kIdentity) {
    alignas(64) T block[R * V * kVw<T>];
    __builtin_memcpy(block, acc, sizeof block);
    act_block(block, block, R * V * kVw<T>, act);
    __builtin_memcpy(acc, block, sizeof block);
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    T* to = out[i] + column;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      if (stream) {
        stream_vector<T>(to + v * kVw<T>, acc[i][v]);
      } else if (v < V - 1 || last.full()) {
        store(to + v * kVw<T>, acc[i][v]);
      } else {
        last.store(to + v * kVw<T>, acc[i][v]);
      }
    }
  }
}

}  // namespace
}  // namespace fc::FC_ISA
