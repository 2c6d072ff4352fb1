// Where the rows of a Source lie: the pointers that tile.h reads through.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels/cursor.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

// The taps of a Source as the tile sees them. Few channels: the taps of a window line, neighbours
// in memory, are one long run; where it crosses the image's border it is copied between zeros.
template <class T>
struct Taps {
  static constexpr int64_t kLong = 16;  // channels that make a run of their own

  int64_t count1, count2, run;
  bool merged;

  Taps(const Source<T>& s, int64_t columns) {
    const int64_t taps = s.run > 0 ? columns / s.run : 0;
    merged = s.taps2 > 1 && s.run < kLong && s.step2 * s.s2 == s.run;
    count1 = s.taps2 > 0 ? taps / s.taps2 : 0;
    count2 = merged ? 1 : s.taps2;
    run = merged ? s.taps2 * s.run : s.run;
  }
  int64_t count() const { return count1 * count2; }
};

// The tables of one tile.
template <class T>
struct TileRows {
  const T** rows;  // (taps, kMr)
  int32_t* taps;   // (taps)
  T** out;         // (kMr)
  int64_t tap_count;
};

// Elements of the copies that merged runs of a tile may need.
template <class T>
int64_t border_elements(const Taps<T>& taps) {
  return taps.merged ? taps.count() * kMr * taps.run : 0;
}

// Rows [begin, end) of a tile that lie on one line: their first tap is at (h, w), (h, w + mul2),
// ...
template <class T>
struct LineRun {
  int64_t begin, end, h, w;
  const T* at;  // (h, w), perhaps outside the image
};

// The rows of a tile, line by line.
template <class T>
struct Origins {
  LineRun<T> runs[kMr];
  int count = 0;
  bool inside = true;  // all taps of all rows

  Origins(const Source<T>& s, const Taps<T>& taps, Cursor& cursor, int64_t rows) {
    const int64_t span = taps.merged ? s.taps2 : 1;
    const int64_t reach1 = (taps.count1 - 1) * s.step1, reach2 = (taps.count2 - 1) * s.step2;
    for (int64_t i = 0; i < rows;) {
      const int64_t h = cursor.i1 * s.mul1 + s.off1, w = cursor.i2 * s.mul2 + s.off2;
      const T* at = s.base + s.offset + cursor.i0 * s.s0 + h * s.s1 + w * s.s2;
      const int64_t end = i + cursor.take(rows - i), last = w + (end - i - 1) * s.mul2;
      inside = inside && low(h, reach1) >= 0 && high(h, reach1) < s.h_end && low(w, reach2) >= 0 &&
               high(last, reach2) + span <= s.w_end;
      runs[count++] = {i, end, h, w, at};
      i = end;
    }
  }
  static int64_t low(int64_t a, int64_t reach) { return reach < 0 ? a + reach : a; }
  static int64_t high(int64_t a, int64_t reach) { return reach > 0 ? a + reach : a; }
};

// Rows of a run for one tap (dh, dw), zeros where it is outside; false if it is everywhere.
template <class T>
inline bool find_run(const Source<T>& s, const LineRun<T>& run, int64_t dh, int64_t dw,
                     int64_t span, const T* zeros, const T** rows) {
  const int64_t count = run.end - run.begin, w = run.w + dw;
  int64_t begin = 0, end = count;
  if (static_cast<uint64_t>(run.h + dh) >= static_cast<uint64_t>(s.h_end)) {
    end = 0;
  } else {
    if (w < 0) begin = (-w + s.mul2 - 1) / s.mul2;
    if (begin > count) begin = count;
    const int64_t room = s.w_end - span - w;  // for the row's first column
    if (room < (count - 1) * s.mul2) end = room < 0 ? 0 : room / s.mul2 + 1;
  }
  if (begin >= end) {
    for (int64_t i = 0; i < count; ++i) rows[run.begin + i] = zeros;
    return false;
  }
  for (int64_t i = 0; i < begin; ++i) rows[run.begin + i] = zeros;
  const T* at = run.at + dh * s.s1 + dw * s.s2;
  const int64_t step = s.mul2 * s.s2;
  for (int64_t i = begin; i < end; ++i) rows[run.begin + i] = at + i * step;
  for (int64_t i = end; i < count; ++i) rows[run.begin + i] = zeros;
  return true;
}

// Rows of a run whose merged taps cross the image's left or right border: copies between zeros.
template <class T>
bool copy_border(const Source<T>& s, const Taps<T>& taps, const LineRun<T>& run, int64_t dh,
                 T*& border, const T** rows) {
  bool any = false;
  if (static_cast<uint64_t>(run.h + dh) >= static_cast<uint64_t>(s.h_end)) return false;
  for (int64_t i = run.begin; i < run.end; ++i) {
    const int64_t w = run.w + (i - run.begin) * s.mul2;
    const int64_t begin = w < 0 ? -w : 0, end = s.w_end - w < s.taps2 ? s.w_end - w : s.taps2;
    if (begin >= end || (begin == 0 && end == s.taps2)) continue;
    const T* at = run.at + (i - run.begin) * s.mul2 * s.s2 + dh * s.s1;
    zero(border, begin * s.run);
    copy(border + begin * s.run, at + begin * s.run, (end - begin) * s.run);
    zero(border + end * s.run, (s.taps2 - end) * s.run);
    rows[i] = border;
    border += taps.run;
    any = true;
  }
  return any;
}

// Fills t for `count` rows from the cursor on. zeros: a run of zeros for all groups. border: room
// for border_elements.
template <class T>
void find_rows(const Source<T>& s, const Taps<T>& taps, Cursor& cursor, int64_t count,
               const T* zeros, T* border, TileRows<T>& t) {
  const Origins<T> origins(s, taps, cursor, count);
  const int64_t span = taps.merged ? s.taps2 : 1;
  t.tap_count = 0;
  for (int64_t t1 = 0; t1 < taps.count1; ++t1) {
    for (int64_t t2 = 0; t2 < taps.count2; ++t2) {
      const int64_t dh = t1 * s.step1, dw = t2 * s.step2;
      const T** rows = t.rows + t.tap_count * kMr;
      bool any = false;
      for (int i = 0; i < origins.count; ++i) {
        const LineRun<T>& run = origins.runs[i];
        any |= find_run(s, run, dh, dw, span, zeros, rows);
        if (taps.merged && !origins.inside) any |= copy_border(s, taps, run, dh, border, rows);
      }
      if (any) t.taps[t.tap_count++] = static_cast<int32_t>(t1 * taps.count2 + t2);
    }
  }
}

// out[i]: `count` rows of a result from the cursor on
template <class T>
void find_targets(const Target<T>& c, Cursor& cursor, int64_t count, T** out) {
  for (int64_t i = 0; i < count;) {
    T* p = c.base + c.offset + cursor.i0 * c.s0 + cursor.i1 * c.s1 + cursor.i2 * c.s2;
    for (const int64_t end = i + cursor.take(count - i); i < end; ++i, p += c.s2) out[i] = p;
  }
}

}  // namespace
}  // namespace fc::FC_ISA
