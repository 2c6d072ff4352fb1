// The inner loop of depthwise convolution: a patch of kRows x kColumns pixels of the result, one
// vector of channels at a time.
//
//   out[a][b][c] = epilogue(sum_{r,s} x[a*stride + r][b*stride + s][c] * w[r][s][c])
//
// Neighbouring pixels of the result read mostly the same pixels of the image: each is loaded once
// per row of the window and used for all of them. Pixels are found through a table of pointers, so
// the image is read where it lies; what is outside points at zeros. Channels run in the inner loop,
// so memory is read along.
//
// Error bound: |y - y64| <= c * sqrt(L) * eps * sum |a b| with c = 1 (L products in order).
#pragma once

#include "conv2d.h"
#include "cpu/kernels/ahead.h"
#include "cpu/kernels/depth_bands.h"
#include "cpu/kernels/finish.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/pivot_sums.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

template <class T>
struct ProductPatch : PatchPixels<T> {
  using PatchPixels<T>::PatchPixels;

  const T* w;                          // (taps1, taps2, pitch)
  T* out[kPatchRows * kPatchColumns];  // pixels of the result
  bool stream;                         // write past the caches
  const T* c;                          // the result's base
  const Epilogue<T>* epilogue;
  T* around;   // sums over the pixels (pivot_sums.h): (3, pitch) or null
  bool first;  // of the pixels summed there
};

// A row of the window for a row of the patch, kTaps taps kStride apart: every pixel is loaded once.
template <class T, int kTaps, int kStride, int kColumns, int V, class Get>
inline void add_row(Vec<T> (*acc)[V], const T* const* x, const Vec<T> (*w)[V], Get&& get) {
#pragma GCC unroll 32
  for (int j = 0; j < (kColumns - 1) * kStride + kTaps; ++j) {
    int uses = 0;
#pragma GCC unroll 8
    for (int b = 0; b < kColumns; ++b) uses += j - b * kStride >= 0 && j - b * kStride < kTaps;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      Vec<T> pixel = get(x[j], v);
      if (uses > 1) hold<T>(pixel);
#pragma GCC unroll 8
      for (int b = 0; b < kColumns; ++b) {
        const int s = j - b * kStride;
        if (s >= 0 && s < kTaps) acc[b][v] = madd<T>(pixel, w[s][v], acc[b][v]);
      }
    }
  }
}

// V vectors of channels from c on, of the last of which `last` holds those that there are. kTaps 0:
// any window.
template <class T, int kTaps, int kStride, int kRows, int kColumns, int V, bool kWhole>
__attribute__((always_inline)) inline void patch_step(ProductPatch<T>& t, int64_t c,
                                                      const Part<T>& last) {
  const auto get = [&](const T* p, int v) {
    if constexpr (kWhole) return load(p + c + v * kVw<T>);
    return last.load(p + c);
  };
  t.ahead.fetch_lines(V);
  Vec<T> acc[kRows * kColumns][V] = {};
  for (int64_t r = 0; r < t.taps1; ++r) {
    const T* w = t.w + r * t.taps2 * t.pitch + c;
    if constexpr (kTaps > 0) {
      Vec<T> ws[kTaps][V];
#pragma GCC unroll 8
      for (int s = 0; s < kTaps; ++s) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) ws[s][v] = load(w + s * t.pitch + v * kVw<T>);
      }
#pragma GCC unroll 2
      for (int a = 0; a < kRows; ++a) {
        const int64_t row = a * t.taps1 + r;
        if (!t.inside[row]) continue;
        add_row<T, kTaps, kStride, kColumns, V>(acc + a * kColumns, t.x + row * t.width, ws, get);
      }
    } else {
      for (int64_t s = 0; s < t.taps2; ++s) {
        const Vec<T> ws = load(w + s * t.pitch);
        const T* const* x = t.x + r * t.width + s * t.step2;
#pragma GCC unroll 8
        for (int b = 0; b < kColumns; ++b)
          acc[b][0] = madd<T>(get(x[b * t.mul2], 0), ws, acc[b][0]);
      }
    }
  }
  const Epilogue<T>& e = *t.epilogue;
  const auto at = [&](const T* p) { return p ? p + c : nullptr; };
  scale_and_shift<T, kRows * kColumns, V>(acc, at(e.scale), at(e.shift), last);
  if (t.around) add_around<T, kRows * kColumns, V>(acc, t.around + c, t.pitch, t.first);
  finish_rows<T, kRows * kColumns, V>(acc, t.out, c, e.residual, t.c, e.act, t.stream, last);
}

struct DepthProduct {
  template <class T, int kTaps, int kStride, int kRows, int kColumns>
  __attribute__((noinline)) static void run(ProductPatch<T>& t) {
    // two vectors at a time if their sums and a row's weights fit the registers
    constexpr bool kPair = kVectorRegisters == 32 && kTaps > 0 && kTaps <= 5;
    const Part<T> whole(kVw<T>);
    int64_t c = t.begin;
    if constexpr (kPair) {
      for (; c + 2 * kVw<T> <= t.end; c += 2 * kVw<T>) {
        patch_step<T, kTaps, kStride, kRows, kColumns, 2, true>(t, c, whole);
      }
    }
    for (; c + kVw<T> <= t.end; c += kVw<T>) {
      patch_step<T, kTaps, kStride, kRows, kColumns, 1, true>(t, c, whole);
    }
    if (c < t.end) {
      patch_step<T, kTaps, kStride, kRows, kColumns, 1, false>(t, c, Part<T>(t.end - c));
    }
  }
};

}  // namespace
}  // namespace fc::FC_ISA
