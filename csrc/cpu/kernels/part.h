// The first `count` lanes of a vector, 0 < count <= kVw.
#pragma once

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

#if defined(__AVX512F__)

inline Vec<float> load_part(const float* p, int64_t count) {
  return (Vec<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
}
inline Vec<double> load_part(const double* p, int64_t count) {
  return (Vec<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), p);
}
inline void store_part(float* p, Vec<float> v, int64_t count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
}
inline void store_part(double* p, Vec<double> v, int64_t count) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1), (__m512d)v);
}

#else

// Lanes beyond count are 0.
template <class T>
inline Vec<T> load_part(const T* p, int64_t count) {
  if (count == kVw<T>) return load(p);
  alignas(64) T lanes[kVw<T>] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load(lanes);
}

template <class T>
inline void store_part(T* p, Vec<T> v, int64_t count) {
  if (count == kVw<T>) return store(p, v);
  alignas(64) T lanes[kVw<T>];
  store(lanes, v);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}

#endif

}  // namespace
}  // namespace fc::FC_ISA
