// The maximum over a list of pixels and whose it is, and the way back.
//
// The first maximum stays; NaN wins over numbers, and the first NaN over later ones.
#pragma once

#include "cpu/kernels/pool_common.h"

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

template <class T, class Index>
inline WideVec<T> load_index(const Index* p) {
  typename IndexVector<Index, kVw<T>>::type v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, WideVec<T>);
}
template <class T, class Index>
inline void store_index(Index* p, WideVec<T> wide) {
  const auto v = __builtin_convertvector(wide, typename IndexVector<Index, kVw<T>>::type);
  __builtin_memcpy(p, &v, sizeof v);
}

// y[i] = max over the listed pixels, index[i] the number of the one it came from
template <bool kIndexed, class T, class Index>
inline void max_pixels(const Pixels<T>& list, T* y, Index* index, int64_t channels) {
  const int64_t start = list.first ? 1 : 0;
  int64_t i = 0;
  for (; i + kVw<T> <= channels; i += kVw<T>) {
    Vec<T> best = list.first ? load(list.at[0] + i) : load(y + i);
    WideVec<T> whose = WideVec<T>{} + list.number[0];
    if constexpr (kIndexed) {
      if (!list.first) whose = load_index<T>(index + i);
    }
    for (int64_t t = start; t < list.count; ++t) {
      const Vec<T> v = load(list.at[t] + i);
      const WideVec<T> win = ~(v <= best) & (best == best);
      best = win ? v : best;
      if constexpr (kIndexed) whose = win ? WideVec<T>{} + list.number[t] : whose;
    }
    store(y + i, best);
    if constexpr (kIndexed) store_index<T>(index + i, whose);
  }
  for (; i < channels; ++i) {
    T best = list.first ? list.at[0][i] : y[i];
    Index whose = static_cast<Index>(list.number[0]);
    if constexpr (kIndexed) {
      if (!list.first) whose = index[i];
    }
    for (int64_t t = start; t < list.count; ++t) {
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

// gx[i] = sum of gy[i] over the listed pixels of gy whose index[i] is their number, added to what
// gx holds unless the list is the first. index: of the pixel at offset 0.
template <class T, class Index>
inline void sum_chosen(const Pixels<T>& list, const Index* index, T* gx, int64_t channels) {
  int64_t i = 0;
  for (; i + kVw<T> <= channels; i += kVw<T>) {
    Vec<T> sum = list.first ? Vec<T>{} : load(gx + i);
    for (int64_t t = 0; t < list.count; ++t) {
      const WideVec<T> chosen = load_index<T>(index + list.offset[t] + i) == list.number[t];
      sum += chosen ? load(list.at[t] + i) : Vec<T>{};
    }
    store(gx + i, sum);
  }
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
