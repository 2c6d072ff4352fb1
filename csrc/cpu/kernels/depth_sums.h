// The inner loop of the depthwise gradient by w: the pixels of a patch, one vector of channels at a
// time.
//
//   total[r][s][c] += sum_{a,b} x[a*stride + r][b*stride + s][c] * gy[a][b][c]
//
// As in depth_patch.h a pixel of the image is loaded once per row of the window; the totals of all
// channels stay in the first-level cache.
#pragma once

#include "cpu/kernels/ahead.h"
#include "cpu/kernels/depth_bands.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

template <class T>
struct SumPatch : PatchPixels<T> {
  using PatchPixels<T>::PatchPixels;

  const T* g[kPatchRows * kPatchColumns];  // pixels of gy
  T* total;                                // (taps1, taps2, pitch)
};

// A row of the window for a row of the patch.
template <class T, int kTaps, int kStride, int kColumns, class Get>
inline void sum_row(Vec<T>* acc, const T* const* x, const Vec<T>* g, Get&& get) {
#pragma GCC unroll 32
  for (int j = 0; j < (kColumns - 1) * kStride + kTaps; ++j) {
    Vec<T> pixel = get(x[j]);
    hold<T>(pixel);
#pragma GCC unroll 8
    for (int b = 0; b < kColumns; ++b) {
      const int s = j - b * kStride;
      if (s >= 0 && s < kTaps) acc[s] = madd<T>(pixel, g[b], acc[s]);
    }
  }
}

// The vector of channels from c on, of which `last` holds those that there are. kTaps 0: any
// window.
template <class T, int kTaps, int kStride, int kRows, int kColumns, bool kWhole>
__attribute__((always_inline)) inline void sum_step(SumPatch<T>& t, int64_t c,
                                                    const Part<T>& last) {
  const auto get = [&](const T* p) {
    if constexpr (kWhole) return load(p + c);
    return last.load(p + c);
  };
  t.ahead.fetch_lines(1);
  Vec<T> g[kRows * kColumns];
#pragma GCC unroll 8
  for (int i = 0; i < kRows * kColumns; ++i) g[i] = get(t.g[i]);
  for (int64_t r = 0; r < t.taps1; ++r) {
    T* total = t.total + r * t.taps2 * t.pitch + c;
    if constexpr (kTaps > 0) {
      Vec<T> acc[kRows][kTaps] = {};
#pragma GCC unroll 2
      for (int a = 0; a < kRows; ++a) {
        const int64_t row = a * t.taps1 + r;
        if (!t.inside[row]) continue;
        sum_row<T, kTaps, kStride, kColumns>(acc[a], t.x + row * t.width, g + a * kColumns, get);
      }
#pragma GCC unroll 8
      for (int s = 0; s < kTaps; ++s) {
        Vec<T> sum = acc[0][s];
        if constexpr (kRows == 2) sum += acc[1][s];
        store(total + s * t.pitch, load(total + s * t.pitch) + sum);
      }
    } else {
      for (int64_t s = 0; s < t.taps2; ++s) {
        const T* const* x = t.x + r * t.width + s * t.step2;
        Vec<T> sum = load(total + s * t.pitch);
#pragma GCC unroll 8
        for (int b = 0; b < kColumns; ++b) sum = madd<T>(get(x[b * t.mul2]), g[b], sum);
        store(total + s * t.pitch, sum);
      }
    }
  }
}

struct DepthSums {
  template <class T, int kTaps, int kStride, int kRows, int kColumns>
  __attribute__((noinline)) static void run(SumPatch<T>& t) {
    const Part<T> whole(kVw<T>);
    int64_t c = t.begin;
    for (; c + kVw<T> <= t.end; c += kVw<T>) {
      sum_step<T, kTaps, kStride, kRows, kColumns, true>(t, c, whole);
    }
    if (c < t.end) {
      sum_step<T, kTaps, kStride, kRows, kColumns, false>(t, c, Part<T>(t.end - c));
    }
  }
};

}  // namespace
}  // namespace fc::FC_ISA
