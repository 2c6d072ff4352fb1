// The inner product of everything: a register tile of kMr rows x kNr = two vectors of columns.
//
// Error bound of every product built on it: |y - y64| <= c * sqrt(L) * eps * sum |a b| with c = 1.
// A lane sums at most kKc products in order; then come the sums of the blocks, in order.
#pragma once

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

template <class T>
constexpr int kNr = 2 * kVw<T>;
// l is cut into blocks of kKc, in order: an A and a B panel stay in the first-level cache
template <class T>
constexpr int kKc = 1024 / sizeof(T);
// one cache line more, so that rows of a panel do not share cache sets
template <class T>
constexpr int kLda = kKc<T> + 64 / sizeof(T);

// tile (kMr, kNr) = A panel (kMr, kc) @ B panel (kc, kNr). kByK: the A panel is stored (kc, kMr),
// else (kMr, kLda).
template <class T, bool kByK>
void micro_kernel(int64_t kc, const T* a, const T* b, T* tile) {
  Vec<T> acc[kMr][2] = {};
  for (int64_t l = 0; l < kc; ++l) {
    const Vec<T> b0 = load(b), b1 = load(b + kVw<T>);
    b += kNr<T>;
#pragma GCC unroll 16
    for (int i = 0; i < kMr; ++i) {
      const Vec<T> ai = broadcast(kByK ? a[l * kMr + i] : a[i * kLda<T> + l]);
      acc[i][0] = madd<T>(ai, b0, acc[i][0]);
      acc[i][1] = madd<T>(ai, b1, acc[i][1]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kMr; ++i) {
    store(tile + i * kNr<T>, acc[i][0]);
    store(tile + i * kNr<T> + kVw<T>, acc[i][1]);
  }
}

}  // namespace
}  // namespace fc::FC_ISA
