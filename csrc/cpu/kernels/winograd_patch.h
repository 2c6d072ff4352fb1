// What Winograd's algorithm makes of the image: where its tiles lie, and B' d B of their patches.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/simd.h"
#include "winograd_points.h"

namespace fc::FC_ISA {
namespace {

using winograd::kFrequencies;
using winograd::kOutputs;
using winograd::kPoints;
using winograd::kTaps;

constexpr int kTileOutputs = kOutputs * kOutputs;
constexpr int64_t kOffset = 64;  // bytes that keep frequencies in different sets of a cache

template <class T>
struct Fused {
  Vec<T> operator()(T a, Vec<T> b, Vec<T> c) const { return madd<T>(broadcast(a), b, c); }
};

// Where the 6 x 6 inputs and the 4 x 4 outputs of a tile lie. The gradient by x walks through its
// windows backwards (step1, step2 = -1): the patch begins at the last tap.
struct TilePlace {
  int64_t image, h, w;       // of the first output
  int64_t patch_h, patch_w;  // of the first input, perhaps outside
  int64_t lines, columns;    // outputs that exist, at most kOutputs
};

// The tiles of the outputs (images, d1, d2), whose windows lie in `source`.
template <class T>
struct TileGrid {
  int64_t d1, d2, tiles_h, tiles_w, tiles;

  TileGrid(int64_t outputs, int64_t d1, int64_t d2)
      : d1(d1), d2(d2), tiles_h(ceil_div(d1, kOutputs)), tiles_w(ceil_div(d2, kOutputs)) {
    tiles = outputs / (d1 * d2) * tiles_h * tiles_w;
  }

  TilePlace place(const Source<T>& source, int64_t tile) const {
    TilePlace p;
    p.w = tile % tiles_w * kOutputs;
    p.h = tile / tiles_w % tiles_h * kOutputs;
    p.image = tile / tiles_w / tiles_h;
    p.patch_h = p.h + source.off1 - (source.step1 < 0 ? kTaps - 1 : 0);
    p.patch_w = p.w + source.off2 - (source.step2 < 0 ? kTaps - 1 : 0);
    p.lines = least(d1 - p.h, kOutputs);
    p.columns = least(d2 - p.w, kOutputs);
    return p;
  }
};

// Of a patch; a pixel outside the image is a row of zeros.
template <class T>
struct TilePixels {
  const T* at[kPoints][kPoints];

  // The caches fetch lines of memory ahead, patches are short pieces of many.
  void ask(int64_t c) const {
#pragma GCC unroll 6
    for (int i = 0; i < kPoints; ++i) {
#pragma GCC unroll 6
      for (int j = kPoints - kOutputs; j < kPoints; ++j) prefetch(at[i][j] + c);
    }
  }
};

template <class T>
class Patches {
 public:
  Patches(const Source<T>& source, const T* zeros) : source_(source), zeros_(zeros) {}

  void find(const TilePlace& place, TilePixels<T>& pixels) const {
    const Source<T>& s = source_;
    const T* image = s.base + s.offset + place.image * s.s0;
    for (int i = 0; i < kPoints; ++i) {
      const int64_t h = place.patch_h + i;
      for (int j = 0; j < kPoints; ++j) {
        const int64_t w = place.patch_w + j;
        const bool inside = h >= 0 && h < s.h_end && w >= 0 && w < s.w_end;
        pixels.at[i][j] = inside ? image + h * s.s1 + w * s.s2 : zeros_;
      }
    }
  }

  // v[f * stride] = B' d B of the channels [c, c + part), for every frequency f
  void transform(const TilePixels<T>& pixels, int64_t c, const Part<T>& part, T* v,
                 int64_t stride) const {
    Vec<T> half[kPoints][kPoints];
    for (int i = 0; i < kPoints; ++i) {
      Vec<T> line[kPoints];
      for (int j = 0; j < kPoints; ++j) {
        line[j] = part.full() ? load(pixels.at[i][j] + c) : part.load(pixels.at[i][j] + c);
      }
      if (source_.prologue.scale) apply_to_line(pixels.at[i], c, part, line);
      winograd::transform_input<T>(line, half[i], Fused<T>());
    }
    for (int j = 0; j < kPoints; ++j) {
      Vec<T> column[kPoints], points[kPoints];
      for (int i = 0; i < kPoints; ++i) column[i] = half[i][j];
      winograd::transform_input<T>(column, points, Fused<T>());
      for (int i = 0; i < kPoints; ++i) store(v + (i * kPoints + j) * stride, points[i]);
    }
  }

 private:
  // The prologue, but for pixels outside the image: they stay 0.
  void apply_to_line(const T* const (&pixels)[kPoints], int64_t c, const Part<T>& part,
                     Vec<T> (&line)[kPoints]) const {
    const Prologue<T>& prologue = source_.prologue;
    const Vec<T> scale = part.load(prologue.scale + c), shift = part.load(prologue.shift + c);
    for (Vec<T>& x : line) x = x * scale + shift;
    alignas(64) T values[kPoints * kVw<T>];
    __builtin_memcpy(values, line, sizeof values);
    act_row(prologue.act, values, kPoints * kVw<T>);
    __builtin_memcpy(line, values, sizeof values);
    for (int j = 0; j < kPoints; ++j) {
      if (pixels[j] == zeros_) line[j] = Vec<T>{};
    }
  }

  const Source<T>& source_;
  const T* zeros_;
};

}  // namespace
}  // namespace fc::FC_ISA
