// What the pooling kernels share: windows and the pixels they cover, and sums and maxima over lists
// of pixels, kept in registers.
#pragma once

#include <cstdint>

#include "cpu/kernels/for_vectors.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/stream.h"
#include "cpu/kernels/vmath.h"
#include "cpu/pool.h"

namespace fc::FC_ISA {
namespace {

// ---- which windows cover a position of one axis

// Windows first .. last contain `at` between their ends; tap says where, or -1 between two taps.
struct Covering {
  int64_t stride, dilation, pad, reach, count;
  int64_t at = 0, first = 0, last = -1;

  Covering(int64_t taps, int64_t stride_, int64_t dilation_, int64_t pad_, int64_t count_)
      : stride(stride_),
        dilation(dilation_),
        pad(pad_),
        reach((taps - 1) * dilation_),
        count(count_) {}

  // positions must not decrease
  void move_to(int64_t position) {
    at = position + pad;
    while (last + 1 < count && (last + 1) * stride <= at) ++last;
    while (first * stride + reach < at) ++first;
  }
  int64_t tap(int64_t window) const {
    const int64_t offset = at - window * stride;
    if (dilation == 1) return offset;
    return offset % dilation == 0 ? offset / dilation : -1;
  }
};

inline Covering rows_of_windows(const Pool2d& g) {
  return {g.r, g.stride_h, g.dilation_h, g.pad_top, g.p};
}
inline Covering columns_of_windows(const Pool2d& g) {
  return {g.s, g.stride_w, g.dilation_w, g.pad_left, g.q};
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

// ---- lists of pixels

// Up to kMost pixels (one 4x4 window; few enough for the prefetchers) that one output pixel is made
// of: where their channels start, and a number that belongs to each. A full list is worked off by
// `flush`, so the order of all is kept.
template <class T>
struct Pixels {
  static constexpr int64_t kMost = 16;
  const T* at[kMost];
  int64_t offset[kMost];  // of the pixel in its array
  int32_t number[kMost];
  int64_t count = 0;
  bool first = true;  // nothing was worked off yet

  template <class F>
  void add(const T* array, int64_t offset_, int64_t number_, F flush) {
    if (count == kMost) {
      flush();
      count = 0;
      first = false;
    }
    at[count] = array + offset_;
    offset[count] = offset_;
    number[count++] = static_cast<int32_t>(number_);
  }
};

// How far ahead of its loads a window asks for input: a window jumps between rows, which the
// machine's own prefetchers do not follow.
template <class T>
constexpr int64_t kAhead = 4096 / sizeof(T);

// y = sum of the listed pixels, added to what y holds unless the list is the first
template <int kCount, class T>
inline void sum_vectors(const Pixels<T>& list, T* y, int64_t i) {
  Vec<T> sum[kCount];
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) sum[v] = list.first ? Vec<T>{} : load(y + i + v * kVw<T>);
  for (int64_t t = 0; t < list.count; ++t) {
    const T* x = list.at[t] + i;
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      sum[v] += load(x + v * kVw<T>);
      prefetch(x + v * kVw<T> + kAhead<T>);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) store(y + i + v * kVw<T>, sum[v]);
}

template <class T>
inline void sum_pixels(const Pixels<T>& list, T* y, int64_t channels) {
  int64_t i = 0;
  for (; i + 4 * kVw<T> <= channels; i += 4 * kVw<T>) sum_vectors<4>(list, y, i);
  for (; i + kVw<T> <= channels; i += kVw<T>) sum_vectors<1>(list, y, i);
  for (; i < channels; ++i) {
    T sum = list.first ? T(0) : y[i];
    for (int64_t t = 0; t < list.count; ++t) sum += list.at[t][i];
    y[i] = sum;
  }
}

// y[i] /= size; a power of two is multiplied by, which is exact too
template <class T>
inline void divide(T* y, int64_t n, int64_t size) {
  const T divisor = static_cast<T>(size);
  if ((size & (size - 1)) == 0) {
    const T factor = T(1) / divisor;
    for (int64_t i = 0; i < n; ++i) y[i] *= factor;
  } else if (size != 1) {
    for (int64_t i = 0; i < n; ++i) y[i] /= divisor;
  }
}

// ---- writing one pixel

constexpr int64_t kPixelBlock = 1024;  // channels written at once

// Whether an output of so many values, c to a pixel, is streamed: only whole lines are.
template <class T>
inline bool streams_pixels(int64_t values, int64_t c) {
  return c * static_cast<int64_t>(sizeof(T)) % 64 == 0 && streams<T>(values);
}

// f(pixel, c0, width, block) computes channels [c0, c0 + width) of each of the pixels [0, count)
// that y starts with; small pixels share a block.
template <class T, class F>
inline void write_pixels(Blocks<T, kPixelBlock>& out, T* y, int64_t count, int64_t channels, F f) {
  const int64_t together = max_of<int64_t>(1, kPixelBlock / max_of<int64_t>(1, channels));
  for (int64_t first = 0; first < count; first += together) {
    const int64_t some = min_of(together, count - first);
    for (int64_t c0 = 0; c0 < channels; c0 += kPixelBlock) {
      const int64_t width = min_of(kPixelBlock, channels - c0);
      T* at = y + first * channels + c0;
      T* block = out.begin(at);
      for (int64_t i = 0; i < some; ++i) f(first + i, c0, width, block + i * width);
      out.end(at, some * width);
    }
  }
}

}  // namespace
}  // namespace fc::FC_ISA
