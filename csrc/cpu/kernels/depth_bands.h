// How depthwise kernels walk over pixels: lines in bands of kPatchRows, bands in patches of
// kPatchColumns, and a table of pointers to the pixels of the image that a band's windows reach.
#pragma once

#include "cpu/cache.h"
#include "cpu/gemm.h"
#include "cpu/kernels/ahead.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

constexpr int kPatchRows = 2, kPatchColumns = 4;

// Windows that have instances of their own: taps along a line and their stride.
inline bool has_instance(int64_t taps, int64_t stride) {
  return stride == 1 ? taps <= 3 || taps == 5 || taps == 7
                     : stride == 2 && (taps == 3 || taps == 5 || taps == 7);
}

// The windows of a Source with a channel per group, as bands. Taps are walked forwards.
template <class T>
struct Bands {
  const Source<T>& source;
  int64_t taps1, taps2, step1, step2;
  int64_t off1, off2;       // of the first tap
  bool unrolled;            // the window has instances of its own
  int64_t rows;             // of a patch
  int64_t images, count;    // count: of an image
  int64_t columns;          // of the image that a line of windows reaches
  int64_t channels, pitch;  // pitch: channels in whole vectors
  bool beyond_cache;        // the image and the windows' results are more than the caches hold

  Bands(const Source<T>& s, int64_t taps, int64_t windows, int64_t channels)
      : source(s), channels(channels) {
    taps2 = s.taps2;
    taps1 = taps / taps2;
    step1 = magnitude(s.step1);
    step2 = magnitude(s.step2);
    off1 = s.off1 + (s.step1 < 0 ? (taps1 - 1) * s.step1 : 0);
    off2 = s.off2 + (s.step2 < 0 ? (taps2 - 1) * s.step2 : 0);
    // a line of one, two or five pixels cannot be cut into threes and fours
    const bool cuts = s.d2 == 3 || s.d2 == 4 || s.d2 > 5;
    unrolled = cuts && (step2 == 1 || taps2 == 1) && has_instance(taps2, s.mul2);
    rows = unrolled ? kPatchRows : 1;
    images = windows / (s.d1 * s.d2);
    count = ceil_div(s.d1, rows);
    columns = (s.d2 - 1) * s.mul2 + (taps2 - 1) * step2 + 1;
    pitch = round_up(channels, kVw<T>);
    beyond_cache = outgrows_cache((images * s.s0 + windows * channels) * sizeof(T) * 2 / 3);
  }
  static int64_t magnitude(int64_t a) { return a < 0 ? -a : a; }

  int64_t all() const { return images * count; }
  int64_t table_bytes() const { return round_up(rows * taps1 * columns * sizeof(T*), kAlign); }
  int64_t inside_bytes() const { return round_up(rows * taps1 * sizeof(bool), kAlign); }

  // of pixels that a patch reads, and as many values as the window has taps
  int64_t patch_bytes() const {
    const int64_t lines = (rows - 1) * source.mul1 + taps1 * step1;
    const int64_t width = (kPatchColumns - 1) * source.mul2 + taps2 * step2;
    return (lines * width + taps1 * taps2) * pitch * static_cast<int64_t>(sizeof(T));
  }

  int64_t first_line(int64_t band) const { return source.d1 * band / count; }

  // Of the patch that begins at this column: as many fours as leave only threes.
  int width_at(int64_t column) const {
    const int64_t left = source.d2 - column;
    if (!unrolled) return left < kPatchColumns ? 1 : kPatchColumns;
    const int64_t threes = (kPatchColumns - left % kPatchColumns) % kPatchColumns;
    return left > threes * (kPatchColumns - 1) ? kPatchColumns : kPatchColumns - 1;
  }

  int64_t patches() const {  // of a band
    return unrolled ? ceil_div(source.d2, kPatchColumns)
                    : source.d2 / kPatchColumns + source.d2 % kPatchColumns;
  }

  // table (lines, taps1, columns), inside (lines, taps1): whether any of that row is in the image
  void find_pixels(int64_t image, int64_t line, int64_t lines, const T* zeros, const T** table,
                   bool* inside) const {
    const Source<T>& s = source;
    for (int64_t i = 0; i < lines * taps1; ++i, table += columns) {
      const int64_t h = (line + i / taps1) * s.mul1 + off1 + i % taps1 * step1;
      inside[i] = h >= 0 && h < s.h_end;
      const int64_t left = inside[i] ? clamp(-off2) : columns;
      const int64_t right = inside[i] ? clamp(s.w_end - off2) : columns;
      for (int64_t j = 0; j < left; ++j) table[j] = zeros;
      const T* from = s.base + s.offset + image * s.s0 + h * s.s1 + off2 * s.s2;
      for (int64_t j = left; j < right; ++j) table[j] = from + j * s.s2;
      for (int64_t j = right; j < columns; ++j) table[j] = zeros;
    }
  }

  // What the lines of the next band read and these do not, over the patches of these.
  Ahead next_band(int64_t image, int64_t line, int64_t lines, int64_t vectors) const {
    const Source<T>& s = source;
    if (!beyond_cache || line + lines + rows > s.d1) return {};
    const int64_t h = (line + lines - 1) * s.mul1 + off1 + (taps1 - 1) * step1 + 1;
    const int64_t end = h + lines * s.mul1 < s.h_end ? h + lines * s.mul1 : s.h_end;
    if (h < 0 || h >= end) return {};
    const T* from = s.base + s.offset + image * s.s0;
    return {from + h * s.s1, from + end * s.s1, patches() * vectors};
  }

 private:
  int64_t clamp(int64_t column) const {
    return column < 0 ? 0 : column < columns ? column : columns;
  }
};

// How the channels of a layer and its bands are cut into tasks: parts whose patches stay in the
// first-level cache, blocks of bands that follow each other.
struct DepthTasks {
  static constexpr int64_t kWanted = 32;
  // of channels that a part has at least, only to make more tasks: a patch costs something by
  // itself
  static constexpr int64_t kPartVectors = 4;
  static constexpr int64_t kPatchBytes = int64_t{40} << 10;

  int64_t bands, channels, vectors, lanes, parts, blocks;

  template <class T>
  explicit DepthTasks(const Bands<T>& b)
      : bands(b.all()), channels(b.channels), vectors(b.pitch / kVw<T>), lanes(kVw<T>) {
    parts = ceil_div(b.patch_bytes(), kPatchBytes);
    if (parts < 1) parts = 1;
    blocks = ceil_div(kWanted, parts);
    if (blocks > bands) blocks = bands;
    while (vectors / (parts + 1) >= kPartVectors && blocks * parts < kWanted) ++parts;
    if (parts > vectors) parts = vectors;
  }
  int64_t count() const { return blocks * parts; }
  int64_t first_band(int64_t block) const { return bands * block / blocks; }
  int64_t first_channel(int64_t part) const { return vectors * part / parts * lanes; }
  int64_t last_channel(int64_t part) const {
    const int64_t last = vectors * (part + 1) / parts * lanes;
    return last < channels ? last : channels;
  }
};

// What the kernels of a patch have in common: the pixels of the image that it reads, and channels.
template <class T>
struct PatchPixels {
  const T* const* x = nullptr;   // (rows of the patch, taps1, width): by column
  const bool* inside = nullptr;  // (rows of the patch, taps1): any of that row of x is in the image
  int64_t width, taps1, taps2;
  int64_t mul2, step2;         // columns of x between pixels of the result, between taps
  int64_t pitch;               // channels, in whole vectors
  int64_t begin = 0, end = 0;  // channels [begin, end), begin in whole vectors
  Ahead ahead;                 // a step per patch and vector of channels

  explicit PatchPixels(const Bands<T>& bands)
      : width(bands.columns),
        taps1(bands.taps1),
        taps2(bands.taps2),
        mul2(bands.source.mul2),
        step2(bands.step2),
        pitch(bands.pitch) {}
};

// f(image, line, rows, column, columns) for each patch of a band (numbered over all images), with t
// at its pixels. buffer: bands.table_bytes() + bands.inside_bytes().
template <class T, class F>
inline void for_patches(const Bands<T>& bands, int64_t band, const T* zeros, char* buffer,
                        PatchPixels<T>& t, F&& f) {
  const int64_t image = band / bands.count, of_image = band % bands.count;
  const int64_t line = bands.first_line(of_image), rows = bands.first_line(of_image + 1) - line;
  const T** table = reinterpret_cast<const T**>(buffer);
  bool* inside = reinterpret_cast<bool*>(buffer + bands.table_bytes());
  bands.find_pixels(image, line, rows, zeros, table, inside);
  t.inside = inside;
  t.ahead = {};
  if (t.begin == 0) {
    t.ahead = bands.next_band(image, line, rows, ceil_div(t.end - t.begin, kVw<T>));
  }
  for (int64_t column = 0; column < bands.source.d2;) {
    const int columns = bands.width_at(column);
    t.x = table + column * t.mul2;
    f(image, line, rows, column, columns);
    column += columns;
  }
}

// Patch::run<T, taps along a line, stride, rows, columns>(t) for the instance that fits; taps 0:
// any window.
template <class Patch, class T, int kTaps, int kStride, class Arguments>
inline void run_sized(int64_t rows, int columns, Arguments& t) {
  if constexpr (kTaps == 0) {
    columns == kPatchColumns ? Patch::template run<T, 0, 0, 1, kPatchColumns>(t)
                             : Patch::template run<T, 0, 0, 1, 1>(t);
  } else if (columns == kPatchColumns) {
    rows == 1 ? Patch::template run<T, kTaps, kStride, 1, kPatchColumns>(t)
              : Patch::template run<T, kTaps, kStride, 2, kPatchColumns>(t);
  } else {
    rows == 1 ? Patch::template run<T, kTaps, kStride, 1, kPatchColumns - 1>(t)
              : Patch::template run<T, kTaps, kStride, 2, kPatchColumns - 1>(t);
  }
}

template <class Patch, class T, class Arguments>
inline void run_patch(const Bands<T>& bands, int64_t rows, int columns, Arguments& t) {
  if (!bands.unrolled) return run_sized<Patch, T, 0, 0>(rows, columns, t);
  const auto is = [&](int taps, int stride) {
    return bands.taps2 == taps && bands.source.mul2 == stride;
  };
  if (is(1, 1)) return run_sized<Patch, T, 1, 1>(rows, columns, t);
  if (is(2, 1)) return run_sized<Patch, T, 2, 1>(rows, columns, t);
  if (is(3, 1)) return run_sized<Patch, T, 3, 1>(rows, columns, t);
  if (is(5, 1)) return run_sized<Patch, T, 5, 1>(rows, columns, t);
  if (is(7, 1)) return run_sized<Patch, T, 7, 1>(rows, columns, t);
  if (is(3, 2)) return run_sized<Patch, T, 3, 2>(rows, columns, t);
  if (is(5, 2)) return run_sized<Patch, T, 5, 2>(rows, columns, t);
  if (is(7, 2)) return run_sized<Patch, T, 7, 2>(rows, columns, t);
}

}  // namespace
}  // namespace fc::FC_ISA
