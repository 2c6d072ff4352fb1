// Loads and stores of several neighbouring elements in one instruction.
#pragma once

#include <cstdint>

#include "cuda/device/platform.h"
#ifndef __CUDACC__
#include <cstring>

#include "emulator/memory.h"
#endif

namespace fc::cuda {

// N elements in registers; N * sizeof(T) is 2, 4, 8 or 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  T value[N];

  FC_DEVICE T& operator[](int i) { return value[i]; }
  FC_DEVICE const T& operator[](int i) const { return value[i]; }

  static FC_DEVICE Vec all(T a) {
    Vec v;
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] = a;
    return v;
  }
};

// Elements of T in the 16 bytes that a thread moves at most at once.
template <class T>
constexpr int kVector = 16 / sizeof(T);

#ifdef __CUDACC__

// Of global or shared memory; p must be aligned to the whole vector.
template <int N, class T>
FC_DEVICE Vec<T, N> load(const T* p) {
  return *reinterpret_cast<const Vec<T, N>*>(p);
}
template <int N, class T>
FC_DEVICE void store(T* p, const Vec<T, N>& v) {
  *reinterpret_cast<Vec<T, N>*>(p) = v;
}

#else

template <int N, class T>
__attribute__((noinline, no_sanitize("thread"))) Vec<T, N> load(const T* p) {
  emulator::access(p, sizeof(Vec<T, N>), emulator::AccessKind::kRead, __builtin_return_address(0));
  Vec<T, N> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <int N, class T>
__attribute__((noinline, no_sanitize("thread"))) void store(T* p, const Vec<T, N>& v) {
  emulator::access(p, sizeof v, emulator::AccessKind::kWrite, __builtin_return_address(0));
  std::memcpy(p, &v, sizeof v);
}

#endif

// Whether N elements at p and at every whole number of `pitch` elements from it may be moved at
// once.
template <int N, class T>
bool vectors_fit(const T* p, int64_t pitch) {
  return reinterpret_cast<uintptr_t>(p) % (sizeof(T) * N) == 0 && pitch % N == 0;
}

}  // namespace fc::cuda
