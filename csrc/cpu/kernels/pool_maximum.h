// The maximum over a list of pixels and whose it is, and the way back.
//
// The first maximum stays; NaN wins over numbers, and the first NaN over later ones.
#pragma once

#include "cpu/kernels/pool_common.h"
#include "cpu/kernels/prefetch.h"

namespace fc::FC_ISA {
namespace {

// An integer as wide as T: comparisons of vectors of T give such integers.
template <class T>
struct WideIndex {
  using type = int32_t;
};
template <>
struct WideIndex<double> {
  using type = int64_t;
};
template <class T>
using Wide = typename WideIndex<T>::type;

template <class I, int kCount>
struct IndexVector {
  typedef I type __attribute__((vector_size(sizeof(I) * kCount)));
};
template <class T>
using WideVec = typename IndexVector<Wide<T>, kVw<T>>::type;

// Indices as wide as T. The compilers convert vectors of bytes one by one, so the usual case, bytes
// beside float, is written out.
template <class T, class Index>
inline WideVec<T> load_index(const Index* p) {
  WideVec<T> wide;
  if constexpr (sizeof(Index) == sizeof(T)) {
    __builtin_memcpy(&wide, p, sizeof wide);
  } else {
    for (int l = 0; l < kVw<T>; ++l) wide[l] = p[l];
  }
  return wide;
}
template <class T, class Index>
inline void store_index(Index* p, WideVec<T> wide) {
  if constexpr (sizeof(Index) == sizeof(T)) {
    __builtin_memcpy(p, &wide, sizeof wide);
  } else {
    for (int l = 0; l < kVw<T>; ++l) p[l] = static_cast<Index>(wide[l]);
  }
}
#if defined(__x86_64__)
#if defined(__AVX512F__)
constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns of the forms without a mask
#endif
template <>
inline WideVec<float> load_index<float>(const uint8_t* p) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (WideVec<float>)_mm512_maskz_cvtepu8_epi32(kAll, bytes);
#elif defined(__AVX2__)
  return (WideVec<float>)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  const __m128i zero = _mm_setzero_si128();
  const __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero);
  return (WideVec<float>)_mm_unpacklo_epi16(words, zero);
#endif
}
template <>
inline void store_index<float>(uint8_t* p, WideVec<float> wide) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(kAll, (__m512i)wide));
#elif defined(__AVX2__)
  const __m256i v = (__m256i)wide;
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
#else
  const __m128i words = _mm_packs_epi32((__m128i)wide, (__m128i)wide);
  const int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  __builtin_memcpy(p, &four, sizeof four);
#endif
}
#endif

// max_pixels of kCount vectors from channel i
template <int kCount, bool kIndexed, class T, class Index>
inline void max_vectors(const Pixels<T>& list, T* y, Index* index, int64_t i) {
  Vec<T> best[kCount];
  WideVec<T> whose[kCount];
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) {
    const int64_t at = i + v * kVw<T>;
    best[v] = list.first ? load(list.at[0] + at) : load(y + at);
    whose[v] = WideVec<T>{} + list.number[0];
    if constexpr (kIndexed) {
      if (!list.first) whose[v] = load_index<T>(index + at);
    }
  }
  for (int64_t t = list.first ? 1 : 0; t < list.count; ++t) {
    const T* x = list.at[t] + i;
    const WideVec<T> number = WideVec<T>{} + list.number[t];
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      const Vec<T> candidate = load(x + v * kVw<T>);
      prefetch(x + v * kVw<T> + kAhead<T>);
      const WideVec<T> win = ~(candidate <= best[v]) & (best[v] == best[v]);
      best[v] = win ? candidate : best[v];
      if constexpr (kIndexed) whose[v] = win ? number : whose[v];
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) {
    const int64_t at = i + v * kVw<T>;
    store(y + at, best[v]);
    if constexpr (kIndexed) store_index<T>(index + at, whose[v]);
  }
}

// y[i] = max over the listed pixels, index[i] the number of the one it came from
template <bool kIndexed, class T, class Index>
inline void max_pixels(const Pixels<T>& list, T* y, Index* index, int64_t channels) {
  int64_t i = 0;
  for (; i + 4 * kVw<T> <= channels; i += 4 * kVw<T>) max_vectors<4, kIndexed>(list, y, index, i);
  for (; i + kVw<T> <= channels; i += kVw<T>) max_vectors<1, kIndexed>(list, y, index, i);
  for (; i < channels; ++i) {
    T best = list.first ? list.at[0][i] : y[i];
    Index whose = static_cast<Index>(list.number[0]);
    if constexpr (kIndexed) {
      if (!list.first) whose = index[i];
    }
    for (int64_t t = list.first ? 1 : 0; t < list.count; ++t) {
      const T v = list.at[t][i];
      const bool win = !(v <= best) & (best == best);
      best = win ? v : best;
      whose = win ? static_cast<Index>(list.number[t]) : whose;
    }
    y[i] = best;
    if constexpr (kIndexed) index[i] = whose;
  }
}

// The last list of a window: an empty window has -infinity, from tap 0.
template <bool kIndexed, class T, class Index>
inline void finish_max(const Pixels<T>& list, T* y, Index* index, int64_t channels) {
  if (list.count > 0) {
    max_pixels<kIndexed>(list, y, index, channels);
  } else if (list.first) {
    fill<T>(y, channels, -INFINITY);
    if constexpr (kIndexed) fill<Index>(index, channels, 0);
  }
}

// sum_chosen of kCount vectors from channel i
template <int kCount, class T, class Index>
inline void sum_chosen_vectors(const Pixels<T>& list, const Index* index, T* gx, int64_t i) {
  Vec<T> sum[kCount];
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) sum[v] = list.first ? Vec<T>{} : load(gx + i + v * kVw<T>);
  for (int64_t t = 0; t < list.count; ++t) {
    const T* gy = list.at[t] + i;
    const Index* from = index + list.offset[t] + i;
    const WideVec<T> number = WideVec<T>{} + list.number[t];
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      const WideVec<T> chosen = load_index<T>(from + v * kVw<T>) == number;
      sum[v] += chosen ? load(gy + v * kVw<T>) : Vec<T>{};
      prefetch(gy + v * kVw<T> + kAhead<T>);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) store(gx + i + v * kVw<T>, sum[v]);
}

// gx[i] = sum of gy[i] over the listed pixels of gy whose index[i] is their number, added to what
// gx holds unless the list is the first. index: of the pixel at offset 0.
template <class T, class Index>
inline void sum_chosen(const Pixels<T>& list, const Index* index, T* gx, int64_t channels) {
  int64_t i = 0;
  for (; i + 4 * kVw<T> <= channels; i += 4 * kVw<T>) sum_chosen_vectors<4>(list, index, gx, i);
  for (; i + kVw<T> <= channels; i += kVw<T>) sum_chosen_vectors<1>(list, index, gx, i);
  for (; i < channels; ++i) {
    T sum = list.first ? T(0) : gx[i];
    for (int64_t t = 0; t < list.count; ++t) {
      const bool chosen = index[list.offset[t] + i] == static_cast<Index>(list.number[t]);
      sum += chosen ? list.at[t][i] : T(0);
    }
    gx[i] = sum;
  }
}

}  // namespace
}  // namespace fc::FC_ISA
