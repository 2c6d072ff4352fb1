// How gemm_reduce.cpp cuts a product: by the shape (and the vector width) alone.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/reduce_tile.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kChunkPixels = 392;
// of a panel of B, for huge windows: chunks are made smaller
constexpr uint64_t kPanelBytes = uint64_t{2} << 20;
constexpr int64_t kWantedTasks = 16;
// of a column group, where A and B stay in the third-level cache (kCachedBytes) or do not: reading
// A again costs little there, and each group needs its own part of B only
constexpr int64_t kCachedPanels = 1, kPanels = 4;
constexpr int64_t kCachedBytes = int64_t{12} << 20;
constexpr int64_t kMostSplits = 16;
// of all splits' C together
constexpr int64_t kSplitBytes = int64_t{16} << 20;
template <class T>
struct ReducePlan {
  bool windowed;                  // lines of the image are packed, not windows
  int64_t taps1, taps2, columns;  // windowed: taps and columns of each; else 1, 1, n
  int64_t unit, units;            // pixels cut as one: a line of windows if windowed
  int64_t chunk, chunks;          // units of a chunk at most; chunks of a split
  int64_t panels, column_groups, splits;
  bool stream;           // C is written past the caches
  int64_t partials;      // workspace, bytes: shared ...
  int64_t packed, runs;  // ... and per thread

  explicit ReducePlan(const GemmJob<T>& job) {
    const Source<T>& b = job.b;
    const int64_t taps = b.run > 0 ? job.n / b.run : 0;
    windowed = job.b_by_k && taps > 1 && b.run >= kVw<T> && b.d2 <= kChunkPixels;
    taps2 = windowed ? b.taps2 : 1;
    taps1 = windowed ? taps / taps2 : 1;
    columns = windowed ? b.run : job.n;
    unit = windowed ? b.d2 : 1;
    units = ceil_div(job.k, unit);
    panels = ceil_div(columns, kNr<T>);

    const int64_t bytes = job.groups * (job.m + columns) * job.k * sizeof(T);
    const int64_t wanted = ceil_div(kWantedTasks, most(1, job.groups));
    column_groups = ceil_div(panels, bytes <= kCachedBytes ? kCachedPanels : kPanels);
    column_groups = least(most(column_groups, least(panels, 2)), wanted);
    const int64_t c_bytes = job.groups * job.m * job.n * sizeof(T);
    splits = 2 * column_groups < wanted ? ceil_div(wanted, column_groups) : 1;
    splits = least(least(splits, kMostSplits), chunks_of(units));
    splits = most(1, least(splits, kSplitBytes / most(1, c_bytes)));

    const int64_t of_split = ceil_div(units, splits);
    chunks = chunks_of(of_split);
    chunk = ceil_div(of_split, chunks);
    while (windowed && chunk > 1 && panel_pixels(b) * kNr<T> * sizeof(T) > kPanelBytes) {
      chunks *= 2;
      chunk = ceil_div(of_split, chunks);
    }

    const Target<T>& c = job.c;
    stream =
        splits * chunks == 1 && !job.accumulate && columns % kNr<T> == 0 &&
        streams_rows<T>(job.groups * job.m * job.n, 2, c.base + c.offset, c.group_stride, c.s2);
    partials = splits > 1 ? round_up(splits * c_bytes, kAlign) : 0;
    packed = round_up(panel_pixels(b) * kNr<T> * sizeof(T), kAlign);
    runs = round_up(taps1 * taps2 * (chunk + 1) * sizeof(Run), kAlign);
  }

  // Pixels of a panel of B: windowed, of the lines that the windows of a chunk reach.
  int64_t panel_pixels(const Source<T>& b) const {
    if (!windowed) return chunk;
    const int64_t images = ceil_div(chunk, b.d1) + 1, window = (taps1 - 1) * b.step1 + 1;
    return least(chunk * b.mul1 + images * window, images * b.h_end) * b.w_end;
  }
  // as nearly of kChunkPixels as equal ones can be
  int64_t chunks_of(int64_t count) const {
    return most(1, least(count, (count * unit + kChunkPixels / 2) / kChunkPixels));
  }
  int64_t shared_bytes() const { return partials; }
  int64_t thread_bytes() const { return packed + runs; }
};

}  // namespace
}  // namespace fc::FC_ISA
