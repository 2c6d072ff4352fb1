// The first `count` lanes of a vector in memory: what is left where channels do not fill vectors.
#pragma once

#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

template <class T>
class Part {
 public:
  explicit Part(int64_t count) : count_(count) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    for (int i = 0; i < kVw<T>; ++i) mask_[i] = i < count ? -1 : 0;
#endif
  }
  int64_t count() const { return count_; }
  bool full() const { return count_ == kVw<T>; }

  // lanes beyond count are 0 and their memory is not touched
  Vec<T> load(const T* p) const {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)bits(), p);
    } else {
      return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)bits(), p);
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
      return (Vec<T>)_mm256_maskload_ps(p, (__m256i)mask_);
    } else {
      return (Vec<T>)_mm256_maskload_pd(p, (__m256i)mask_);
    }
#else
    Vec<T> v{};
    for (int i = 0; i < kVw<T>; ++i) {
      if (i < count_) v[i] = p[i];
    }
    return v;
#endif
  }

  void store(T* p, Vec<T> v) const {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      _mm512_mask_storeu_ps(p, (__mmask16)bits(), (__m512)v);
    } else {
      _mm512_mask_storeu_pd(p, (__mmask8)bits(), (__m512d)v);
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
      _mm256_maskstore_ps(p, (__m256i)mask_, (__m256)v);
    } else {
      _mm256_maskstore_pd(p, (__m256i)mask_, (__m256d)v);
    }
#else
    for (int i = 0; i < kVw<T>; ++i) {
      if (i < count_) p[i] = v[i];
    }
#endif
  }

 private:
  unsigned bits() const { return (1u << count_) - 1; }

  int64_t count_;
#if defined(__AVX2__) && !defined(__AVX512F__)
  template <class U, int kBytes>
  struct Mask;
  template <class U>
  struct Mask<U, 4> {
    typedef int32_t type __attribute__((vector_size(32)));
  };
  template <class U>
  struct Mask<U, 8> {
    typedef int64_t type __attribute__((vector_size(32)));
  };
  typename Mask<T, sizeof(T)>::type mask_;
#endif
};

}  // namespace
}  // namespace fc::FC_ISA
