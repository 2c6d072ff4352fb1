// The vector types of the instruction set that this object is compiled for.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace fc::FC_ISA {
namespace {

// Register tile of the micro-kernels: kMr rows x 2 vectors, as many as the registers hold, or
// kMrNarrow rows x 1.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kMr = 14, kMrNarrow = 16;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kMr = 6, kMrNarrow = 8;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kMr = 12, kMrNarrow = 16;  // 32 registers, as AVX-512 has
#else
constexpr int kVectorBytes = 16, kMr = 4, kMrNarrow = 8;
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kVectorRegisters = 32;
#else
constexpr int kVectorRegisters = 16;
#endif

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
};

template <class T>
using Vec = typename VecOf<T>::type;  // kVw<T> elements
template <class T>
constexpr int kVw = kVectorBytes / sizeof(T);

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class T>
inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};  // compiles to one instruction; x - 0 keeps the sign of -0
}

// Keeps a vector that was loaded in its register: GCC would rather load it again for each use, and
// loads are then the limit.
template <class T, class V = Vec<T>>
inline void hold(V& v) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__x86_64__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
}

// a * b + c, rounded once where the machine has FMA.
template <class T, class V = Vec<T>>
inline V madd(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  } else {
    return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
  }
#elif defined(__FMA__)
  if constexpr (sizeof(T) == 4) {
    return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  } else {
    return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
  }
#elif defined(__aarch64__)
  if constexpr (sizeof(T) == 4) {
    return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
  } else {
    return (V)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
  }
#else
  return a * b + c;
#endif
}

}  // namespace
}  // namespace fc::FC_ISA
