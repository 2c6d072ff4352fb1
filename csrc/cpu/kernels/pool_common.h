// What the pooling kernels share: which window covers a row, and how small a piece of work may be.
#pragma once

#include <cstdint>

#include "cpu/kernels/vmath.h"
#include "cpu/pool.h"

namespace fc::FC_ISA {
namespace {

// the output index whose window starts `offset` into the padded input, or -1
inline int64_t window_at(int64_t offset, int64_t stride, int64_t count) {
  if (offset < 0 || offset % stride != 0) return -1;
  const int64_t index = offset / stride;
  return index < count ? index : -1;
}

// gx[h, :, :] += tap(gy[p, q, :]) for every window (p, q) that covers row h; f(out, at, tap, p, q)
// adds one window to one pixel. Windows come in row order for each pixel.
template <class F>
inline void for_windows_over_row(const Pool2d& g, int64_t h, F f) {
  for (int64_t r = g.r - 1; r >= 0; --r) {  // descending taps are ascending windows
    const int64_t p = window_at(h + g.pad_top - r * g.dilation_h, g.stride_h, g.p);
    if (p < 0) continue;
    for (int64_t s = g.s - 1; s >= 0; --s) {
      for (int64_t q = 0; q < g.q; ++q) {
        const int64_t w = q * g.stride_w + s * g.dilation_w - g.pad_left;
        if (w >= 0 && w < g.w) f(w, p, q, r * g.s + s);
      }
    }
  }
}

// An integer as wide as T: selects on T and on it share a mask.
template <class T>
struct WideIndex {
  using type = int32_t;
};
template <>
struct WideIndex<double> {
  using type = int64_t;
};

constexpr int64_t kChannels = 128;  // channels whose maximum is kept on the stack

// The maximum over taps of up to kChannels channels of one output pixel, and whose it is.
template <class T, bool kIndexed>
struct Maximum {
  using Wide = typename WideIndex<T>::type;
  T best[kChannels];
  Wide tap[kChannels];
  int64_t width;
  bool empty = true;

  explicit Maximum(int64_t width_) : width(width_) {
    fill<T>(best, width, -INFINITY);
    fill<Wide>(tap, width, 0);
  }

  void take(const T* x, int64_t at) {
    const Wide t = static_cast<Wide>(at);
    if (empty) {
      for (int64_t i = 0; i < width; ++i) best[i] = x[i];
      fill(tap, width, t);
      empty = false;
      return;
    }
    for (int64_t i = 0; i < width; ++i) {
      // strict: the first maximum stays; NaN wins over numbers, and the first NaN over later ones
      const T candidate = x[i], old = best[i];
      const bool win = !(candidate <= old) & (old == old);
      best[i] = win ? candidate : old;
      if constexpr (kIndexed) tap[i] = win ? t : tap[i];
    }
  }

  template <class Index>
  void store(T* y, Index* index) const {
    for (int64_t i = 0; i < width; ++i) y[i] = best[i];
    if constexpr (kIndexed) {
      for (int64_t i = 0; i < width; ++i) index[i] = static_cast<Index>(tap[i]);
    }
  }
};

// out[i] += from[i] where index[i] == wanted
template <class T, class Index>
inline void add_where(const T* from, const Index* index, int64_t wanted, T* out, int64_t n) {
  using Wide = typename WideIndex<T>::type;
  const Wide tap = static_cast<Wide>(wanted);
  Wide wide[kChannels];
  for (int64_t at = 0; at < n; at += kChannels) {
    const int64_t width = min_of(kChannels, n - at);
    for (int64_t i = 0; i < width; ++i) wide[i] = static_cast<Wide>(index[at + i]);
    FC_INDEPENDENT
    for (int64_t i = 0; i < width; ++i) {
      const T value = from[at + i];
      out[at + i] += wide[i] == tap ? value : T(0);
    }
  }
}

// start of the adaptive window of output i, and its end
inline int64_t window_begin(int64_t i, int64_t in, int64_t out) { return i * in / out; }
inline int64_t window_end(int64_t i, int64_t in, int64_t out) {
  return ceil_div((i + 1) * in, out);
}

// f(p, q) for every adaptive window that covers the pixel (h, w), in row order
template <class F>
inline void for_adaptive_windows(const Pool2d& g, int64_t h, int64_t w, F f) {
  for (int64_t p = h * g.p / g.h; p < ceil_div((h + 1) * g.p, g.h); ++p) {
    for (int64_t q = w * g.q / g.w; q < ceil_div((w + 1) * g.q, g.w); ++q) f(p, q);
  }
}

}  // namespace
}  // namespace fc::FC_ISA
