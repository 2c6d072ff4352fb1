// Copying parts of a Source: slices of its rows, and panels of B, transposed where its rows are j.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels/cursor.h"
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

// Overlapping block moves; rows of a few elements are common (three colours, kMr).
template <class T>
inline void copy(T* dst, const T* src, int64_t count) {
  struct Block {
    char bytes[sizeof(T) * 8];
  };
  constexpr int kWide = 8;
  if (count >= kWide) {
    Block block;
    for (int64_t i = 0; i + kWide <= count; i += kWide) {
      __builtin_memcpy(&block, src + i, sizeof block);
      __builtin_memcpy(dst + i, &block, sizeof block);
    }
    __builtin_memcpy(&block, src + count - kWide, sizeof block);
    __builtin_memcpy(dst + count - kWide, &block, sizeof block);
    return;
  }
  for (int64_t i = 0; i < count; ++i) dst[i] = src[i];
}

template <class T>
inline void zero(T* dst, int64_t count) {
  for (int64_t i = 0; i < count; ++i) dst[i] = 0;
}

// columns of a slice, at most
template <class T>
constexpr int kSlice = 1024 / sizeof(T);
// rows of B by k, or columns of its transpose, that one piece of packing takes
constexpr int64_t kPackRows = 64;

// The columns [first, first + count) of a Source, cut where memory is not contiguous.
struct Segment {
  int64_t dst, count;  // columns [dst, dst + count) of the slice
  int64_t dh, dw;      // offset of the tap
  int64_t c;           // first channel
  int64_t span;        // source columns w that it covers
};

template <class T>
struct Slice {
  Segment segments[kSlice<T>];
  int count = 0;

  Slice(const Source<T>& s, int64_t first, int64_t columns) {
    // neighbouring taps of a window row are neighbours in memory: one long run
    const bool merge = s.step2 * s.s2 == s.run && !s.prologue.scale;
    const int64_t run = merge ? s.taps2 * s.run : s.run;
    for (int64_t done = 0; done < columns;) {
      const int64_t column = first + done, within = column % run;
      const int64_t tap = (column - within) / s.run, c = within % s.run;
      const int64_t t1 = tap / s.taps2, t2 = tap % s.taps2 + within / s.run;
      int64_t length = run - within;
      if (length > columns - done) length = columns - done;
      segments[count++] = {done,         length, t1 * s.step1,
                           t2 * s.step2, c,      (c + length - 1) / s.run + 1};
      done += length;
    }
  }
};

template <class T>
inline void apply_prologue(const Prologue<T>& p, int64_t channel, T* v, int64_t count) {
  const T *scale = p.scale + channel, *shift = p.shift + channel;
  for (int64_t i = 0; i < count; ++i) v[i] = v[i] * scale[i] + shift[i];
  act_row(p.act, v, count);
}

// dst[r*stride ...] = the slice of rows [row, row + rows)
template <class T>
void gather_slice(const Source<T>& s, int64_t group, const Slice<T>& slice, int64_t row,
                  int64_t rows, T* dst, int64_t stride) {
  const T* base = s.base + s.offset + group * s.group_stride;
  row += s.first_row;
  int64_t i2 = row % s.d2, i1 = row / s.d2 % s.d1, i0 = row / s.d2 / s.d1;
  for (int64_t r = 0; r < rows; ++r, dst += stride) {
    const T* image = base + i0 * s.s0;
    const int64_t h0 = i1 * s.mul1 + s.off1, w0 = i2 * s.mul2 + s.off2;
    for (int i = 0; i < slice.count; ++i) {
      const Segment& g = slice.segments[i];
      const int64_t h = h0 + g.dh, w = w0 + g.dw;
      T* out = dst + g.dst;
      if (h < 0 || h >= s.h_end || w + g.span <= 0 || w >= s.w_end) {
        zero(out, g.count);
        continue;
      }
      const T* line = image + h * s.s1;
      const int64_t position = w * s.s2 + g.c;
      if (w >= 0 && w + g.span <= s.w_end) {
        copy(out, line + position, g.count);
        if (s.prologue.scale) apply_prologue(s.prologue, group * s.run + g.c, out, g.count);
      } else {  // a merged run over the border: zeros, what lies inside the line, zeros
        int64_t begin = position < 0 ? -position : 0;
        int64_t end = s.w_end * s.s2 - position;
        if (begin > g.count) begin = g.count;
        if (end > g.count) end = g.count;
        zero(out, begin);
        copy(out + begin, line + position + begin, end - begin);
        zero(out + end, g.count - end);
      }
    }
    if (++i2 == s.d2) {
      i2 = 0;
      if (++i1 == s.d1) {
        i1 = 0;
        ++i0;
      }
    }
  }
}

// dst[l*width + i] = rows[i][l], i < 4, l < count
template <class T>
inline void transpose_4(const T* const* rows, int64_t count, int64_t width, T* dst) {
  typedef T V __attribute__((vector_size(4 * sizeof(T))));
  int64_t l = 0;
  for (; l + 4 <= count; l += 4) {
    V v[4];
    for (int i = 0; i < 4; ++i) __builtin_memcpy(&v[i], rows[i] + l, sizeof(V));
    const V low01 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
    const V high01 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    const V low23 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
    const V high23 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
    for (int i = 0; i < 4; ++i) __builtin_memcpy(dst + (l + i) * width, &v[i], sizeof(V));
  }
  for (; l < count; ++l) {
    for (int i = 0; i < 4; ++i) dst[l * width + i] = rows[i][l];
  }
}

// dst (rows, width) = columns [column, column + width) of pixels; width: of whole vectors. Rows lie
// further apart than the machine's own prefetching reaches.
template <class T>
void copy_pixels(const Source<T>& s, int64_t group, int64_t column, int64_t row, int64_t rows,
                 int64_t width, T* dst) {
  constexpr int64_t kAhead = 16, kLine = 64 / static_cast<int64_t>(sizeof(T));
  const int64_t step = s.mul2 * s.s2;
  Cursor at(s, row, row + rows, false);
  while (rows > 0) {
    const T* from = pixel_at(s, group, at) + column;
    const int64_t line = at.take(rows);
    for (int64_t i = 0; i < line; ++i, from += step, dst += width) {
      if (i + kAhead < line) {
        for (int64_t j = 0; j < width; j += kLine) prefetch(from + kAhead * step + j);
      }
      for (int64_t j = 0; j < width; j += kVw<T>) store(dst + j, load(from + j));
    }
    rows -= line;
  }
}

// dst (count, width) = B[l0 + l, column + j], l < count, j < columns <= width; 0 beyond columns
template <class T>
void pack_piece(const GemmJob<T>& job, int64_t group, int64_t column, int64_t columns, int64_t l0,
                int64_t count, int64_t width, T* dst) {
  if (job.b_by_k) {
    if (columns == width && is_pixels(job.b, job.n)) {
      return copy_pixels(job.b, group, column, l0, count, width, dst);
    }
    const Slice<T> slice(job.b, column, columns);
    gather_slice(job.b, group, slice, l0, count, dst, width);
    if (columns == width) return;
    for (int64_t l = 0; l < count; ++l) zero(dst + l * width + columns, width - columns);
    return;
  }
  const T* first = job.b.base + job.b.offset + group * job.b.group_stride + l0;
  if (width < 4) {  // two doubles of 16 bytes
    for (int64_t l = 0; l < count; ++l) {
      for (int64_t j = 0; j < width; ++j) {
        dst[l * width + j] = j < columns ? first[(column + j) * job.b.s2 + l] : T(0);
      }
    }
    return;
  }
  alignas(64) T zeros[kPackRows] = {};
  for (int64_t j = 0; j < width; j += 4) {
    const T* rows[4];
    for (int64_t i = 0; i < 4; ++i) {
      rows[i] = j + i < columns ? first + (column + j + i) * job.b.s2 : zeros;
    }
    transpose_4(rows, count, width, dst + j);
  }
}

}  // namespace
}  // namespace fc::FC_ISA
