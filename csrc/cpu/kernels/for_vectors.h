// Loops over channels in vectors of simd.h, the rest one by one, from one body.
#pragma once

#include <cstdint>

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

// f(vector, i) for whole vectors of n channels, f(T, i) for the rest
template <class T, class F>
inline void for_vectors(int64_t n, F f) {
  int64_t i = 0;
  for (; i + kVw<T> <= n; i += kVw<T>) f(Vec<T>{}, i);
  for (; i < n; ++i) f(T(0), i);
}
template <class T>
inline void read(const T* p, Vec<T>& v) {
  v = load(p);
}
template <class T>
inline void read(const T* p, T& v) {
  v = *p;
}
template <class T>
inline void write(T* p, Vec<T> v) {
  store(p, v);
}
template <class T>
inline void write(T* p, T v) {
  *p = v;
}

}  // namespace
}  // namespace fc::FC_ISA
