// What a tile of gemm_reduce.cpp reads: a chunk of pixels of A where they lie, of B in panels of
// two vectors, and the runs of pixels that a tap meets inside the image.
#pragma once

#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/reduce_plan.h"
#include "cpu/kernels/reduce_tile.h"
#include "cpu/kernels/rows.h"

namespace fc::FC_ISA {
namespace {

// The lines of one image that the windows of lines [p, p_end) reach.
struct Lines {
  int64_t begin, end;

  template <class T>
  Lines(const Source<T>& s, int64_t taps1, int64_t p, int64_t p_end) {
    begin = p * s.mul1 + s.off1;
    end = (p_end - 1) * s.mul1 + s.off1 + (taps1 - 1) * s.step1 + 1;
    begin = begin < 0 ? 0 : begin > s.h_end ? s.h_end : begin;
    end = end < begin ? begin : end > s.h_end ? s.h_end : end;
  }
};

// Of one group, in a thread's part of the workspace.
template <class T>
struct ReduceChunk {
  const GemmJob<T>& job;
  const ReducePlan<T>& plan;
  int64_t group;
  int64_t tiles;  // of the rows of C
  T* b;
  Run* runs;  // (taps, chunk + 1)

  ReduceChunk(const GemmJob<T>& job, const ReducePlan<T>& plan, int64_t group, char* buffer)
      : job(job),
        plan(plan),
        group(group),
        tiles(ceil_div(job.m, plan.columns > kVw<T> ? kMr : kMrNarrow)),
        b(reinterpret_cast<T*>(buffer)),
        runs(reinterpret_cast<Run*>(buffer + plan.packed)) {}

  int64_t first_row(int64_t tile) const { return job.m * tile / tiles; }

  const T* pixel_of_a(int64_t pixel) const {
    const Source<T>& s = job.a;
    return s.base + s.offset + group * s.group_stride + (s.first_row + pixel) * s.s2;
  }

  // b (pixels, width): columns of the windows
  void pack_windows(int64_t pixel, int64_t count, int64_t column, int64_t columns, int64_t width) {
    if (job.b_by_k) {
      return pack_piece(job, group, column, columns, pixel, count, width, b);
    }
    for (int64_t i = 0; i < count; i += kPackRows) {
      pack_piece(job, group, column, columns, pixel + i, least(kPackRows, count - i), width,
                 b + i * width);
    }
  }

  // b (lines, w, width)
  void pack_lines(int64_t unit, int64_t end, int64_t column, int64_t columns, int64_t width) {
    const Source<T>& s = job.b;
    const int64_t channel = group * s.run + column;
    const T* base = s.base + s.offset + group * s.group_stride + column;
    T* dst = b;
    for_images(unit, end, [&](int64_t image, int64_t p, int64_t p_end, int64_t) {
      const Lines lines(s, plan.taps1, p, p_end);
      const T* from = base + image * s.s0;
      for (int64_t i = lines.begin * s.w_end; i < lines.end * s.w_end; ++i, dst += width) {
        copy(dst, from + i * s.s2, columns);
        if (s.prologue.scale) apply_prologue(s.prologue, channel, dst, columns);
        zero(dst + columns, width - columns);
      }
    });
  }

  // Runs of the chunk's pixels whose tap lies inside the image.
  int64_t find_runs(int64_t unit, int64_t end, int64_t t1, int64_t t2) {
    const Source<T>& s = job.b;
    Run* run = runs + (t1 * plan.taps2 + t2) * (plan.chunk + 1);
    const Run* first = run;
    const int64_t w0 = s.off2 + t2 * s.step2;  // of pixel 0 of a line
    const int64_t q = w0 < 0 ? ceil_div(-w0, s.mul2) : 0;
    const int64_t q_end = w0 < s.w_end ? least(s.d2, (s.w_end - 1 - w0) / s.mul2 + 1) : 0;
    int64_t line = 0;  // of b, where the image's lines begin
    for_images(unit, end, [&](int64_t, int64_t p, int64_t p_end, int64_t place) {
      const Lines lines(s, plan.taps1, p, p_end);
      for (int64_t i = p; i < p_end && q < q_end; ++i) {
        const int64_t h = i * s.mul1 + s.off1 + t1 * s.step1;
        if (h < 0 || h >= s.h_end) continue;
        const int64_t b_line = line + h - lines.begin;
        *run++ = {static_cast<int32_t>((place + i - p) * s.d2 + q),
                  static_cast<int32_t>(b_line * s.w_end + w0 + q * s.mul2),
                  static_cast<int32_t>(q_end - q)};
      }
      line += lines.end - lines.begin;
    });
    return run - first;
  }

  // Whether a tile may read B where it lies, by the number of the pixel.
  bool reads_in_place() const {
    const Source<T>& s = job.b;
    return job.b_by_k && !plan.windowed && is_pixels(s, job.n) &&
           (s.d1 == 1 || s.s1 == s.w_end * s.s2) &&
           (s.d1 * s.d2 >= job.k || s.s0 == s.h_end * s.w_end * s.s2);
  }

  const T* pixel_of_b(int64_t pixel) const {
    return pixel_at(job.b, group, Cursor(job.b, pixel, job.k, false));
  }

  // Runs of such pixels, a line each, in pixels of the image from the first one on.
  int64_t find_pixel_runs(int64_t pixel, int64_t count) {
    const Source<T>& s = job.b;
    Cursor at(s, pixel, job.k, false);
    const auto place = [&] {
      return (at.i0 * s.h_end + at.i1 * s.mul1) * s.w_end + at.i2 * s.mul2;
    };
    const int64_t first = place();
    Run* run = runs;
    for (int64_t done = 0; done < count; ++run) {
      run->pixel = static_cast<int32_t>(done);
      run->b_pixel = static_cast<int32_t>(place() - first);
      run->count = static_cast<int32_t>(at.take(count - done));
      done += run->count;
    }
    return run - runs;
  }

 private:
  // f(image, first and end line of its windows, place of unit `first`): the images of the chunk
  template <class F>
  void for_images(int64_t unit, int64_t end, F&& f) const {
    const int64_t p_count = job.b.d1;
    for (int64_t u = unit; u < end;) {
      const int64_t image = u / p_count, p = u % p_count;
      const int64_t p_end = least(p_count, p + end - u);
      f(image, p, p_end, u - unit);
      u += p_end - p;
    }
  }
};

}  // namespace
}  // namespace fc::FC_ISA
