// A thread's patch: 6 x 6 pixels of one channel, by way of registers into V = B' d B.
//
// Neighbouring threads read eight neighbouring channels of a pixel, a sector of 32 bytes, and four
// tiles: a vector of channels per thread would take four times the registers. Pixels that patches
// share are read by each of them, from L1.
#pragma once

#include "cuda/device/vector.h"
#include "cuda/gemm/prologue.h"
#include "cuda/winograd/image.h"

namespace fc::cuda::winograd {

template <class T>
struct Patch {
  static constexpr int kVectors = kFrequencies / kGroup;
  const T* from;       // of pixel (0, 0), which may lie outside
  int64_t line;        // elements from row to row
  int pixel;           // from pixel to pixel: the channels
  int channel;         // of the next load
  unsigned pixels[2];  // of rows 0 to 2, 3 to 5: bit i % 3 * 6 + j if (i, j) lies inside
  Vec<float, kGroup> d[kVectors];

  FC_DEVICE Patch(const T* x, const Image& image, int first_tile)
      : line(int64_t{image.in_w} * image.in_c),
        pixel(image.in_c),
        channel(static_cast<int>(threadIdx.x) % kDepth),
        pixels{0, 0} {
    const TilePlace tile(image, first_tile + static_cast<int>(threadIdx.x) / kDepth);
    const int h = tile.h - image.before_h, w = tile.w - image.before_w;
    from = x + (int64_t{tile.n} * image.in_h + h) * line + int64_t{w} * pixel + channel;
    unsigned columns = 0;
#pragma unroll
    for (int j = 0; j < kPoints; ++j) columns |= unsigned{w + j >= 0 && w + j < image.in_w} << j;
#pragma unroll
    for (int i = 0; i < kPoints; ++i) {
      const bool row = tile.inside && h + i >= 0 && h + i < image.in_h;
      pixels[i / 3] |= row ? columns << i % 3 * kPoints : 0;
    }
  }

  FC_DEVICE float& at(int i, int j) {
    return d[(i * kPoints + j) / kGroup][(i * kPoints + j) % kGroup];
  }
  FC_DEVICE bool inside(int i, int j) const { return pixels[i / 3] & 1u << (i % 3 * kPoints + j); }

  // The next kDepth channels; 0 beyond the last.
  FC_DEVICE void load_next() {
    if (channel >= pixel) pixels[0] = pixels[1] = 0;
    const T* row = from;
#pragma unroll
    for (int i = 0; i < kPoints; ++i, row += line) {
      const T* element = row;
#pragma unroll
      for (int j = 0; j < kPoints; ++j, element += pixel) {
        at(i, j) = inside(i, j) ? widen(*element) : 0.f;
      }
    }
    from += kDepth;
    channel += kDepth;
  }

  // What was loaded last: act(x * scale + shift) inside of the image.
  FC_DEVICE void prologue(const LoadedThrough<T>& through) {
    const int c = channel - kDepth;
    if (c >= pixel) return;
    const float scale = widen(through.scale[c]), shift = widen(through.shift[c]);
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
#pragma unroll
      for (int j = 0; j < kGroup; ++j) d[i][j] = d[i][j] * scale + shift;
    }
    activate(through.act, d);
#pragma unroll
    for (int i = 0; i < kPoints; ++i) {
#pragma unroll
      for (int j = 0; j < kPoints; ++j) {
        if (!inside(i, j)) at(i, j) = 0.f;
      }
    }
  }

  // image: V (36, kDepth, 32)
  FC_DEVICE void store_transformed(float* image) {
#pragma unroll
    for (int j = 0; j < kPoints; ++j) {
      float column[kPoints], points[kPoints];
#pragma unroll
      for (int i = 0; i < kPoints; ++i) column[i] = at(i, j);
      transform_input(column, points);
#pragma unroll
      for (int i = 0; i < kPoints; ++i) at(i, j) = points[i];
    }
    const int me = static_cast<int>(threadIdx.x), own = image_at(me % kDepth, me / kDepth);
#pragma unroll
    for (int i = 0; i < kPoints; ++i) {
      float row[kPoints], points[kPoints];
#pragma unroll
      for (int j = 0; j < kPoints; ++j) row[j] = at(i, j);
      transform_input(row, points);
#pragma unroll
      for (int j = 0; j < kPoints; ++j) {
        const int f = i * kPoints + j;
        image[f * (kDepth * kLine) + (own ^ exchanged(f))] = points[j];
      }
    }
  }
};

}  // namespace fc::cuda::winograd
