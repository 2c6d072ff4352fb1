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

// strict: the first maximum stays; NaN wins over numbers, and the first NaN over later ones
template <class T>
inline bool wins(T candidate, T best) {
  return !(candidate <= best) & (best == best);
}

// one tap of one output pixel
template <class T, class Index>
inline void take(const T* x, T* y, Index* index, int64_t c, Index tap) {
  if (!index) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < c; ++i) y[i] = wins(x[i], y[i]) ? x[i] : y[i];
    return;
  }
  FC_INDEPENDENT
  for (int64_t i = 0; i < c; ++i) {
    const T candidate = x[i], best = y[i];
    const bool win = wins(candidate, best);
    index[i] = win ? tap : index[i];
    y[i] = win ? candidate : best;
  }
}

template <class T, class Index>
inline void take_first(const T* x, T* y, Index* index, int64_t c, Index tap) {
  for (int64_t i = 0; i < c; ++i) y[i] = x[i];
  if (index) fill(index, c, tap);
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
