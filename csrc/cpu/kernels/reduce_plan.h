// How gemm_reduce.cpp cuts a product: by the shape (and the vector width) alone.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/reduce_tile.h"
#include "cpu/kernels/simd.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kChunkPixels = 384;
// of a panel of B, for huge windows: chunks are made smaller
constexpr uint64_t kPanelBytes = uint64_t{2} << 20;
constexpr int64_t kWantedTasks = 16;
// panels times taps of a task that make packing A worth its time
constexpr int64_t kPackedUses = 8;
constexpr int64_t kMostSplits = 16;
// of all splits' C together
constexpr int64_t kSplitBytes = int64_t{16} << 20;
template <class T>
constexpr int64_t kNr = 2 * kVw<T>;

template <class T>
struct ReducePlan {
  bool packs_a;
  bool windowed;                  // lines of the image are packed, not windows
  int64_t taps1, taps2, columns;  // windowed: taps and columns of each; else 1, 1, n
  int64_t unit, units;            // pixels cut as one: a line of windows if windowed
  int64_t chunk;                  // units of a chunk
  int64_t panels, column_groups, splits;
  int64_t partials;                  // workspace, bytes: shared ...
  int64_t packed_a, packed_b, runs;  // ... and per thread

  explicit ReducePlan(const GemmJob<T>& job) {
    const Source<T>& b = job.b;
    const int64_t taps = b.run > 0 ? job.n / b.run : 0;
    windowed = job.b_by_k && taps > 1 && b.run >= kVw<T> && b.d2 <= kChunkPixels;
    taps2 = windowed ? b.taps2 : 1;
    taps1 = windowed ? taps / taps2 : 1;
    columns = windowed ? b.run : job.n;
    unit = windowed ? b.d2 : 1;
    units = ceil_div(job.k, unit);
    chunk = most(1, least(kChunkPixels / unit, units));
    panels = ceil_div(columns, kNr<T>);
    while (windowed && chunk > 1 && panel_pixels(b) * kNr<T> * sizeof(T) > kPanelBytes) chunk /= 2;

    const int64_t chunks = ceil_div(units, chunk), c_bytes = job.groups * job.m * job.n * sizeof(T);
    splits = least(least(chunks, kMostSplits), ceil_div(kWantedTasks, job.groups));
    splits = most(1, least(splits, kSplitBytes / most(1, c_bytes)));
    column_groups = least(panels, ceil_div(kWantedTasks, most(1, job.groups * splits)));

    packs_a = taps1 * taps2 * panels / column_groups >= kPackedUses;
    partials = splits > 1 ? round_up(splits * c_bytes, kAlign) : 0;
    packed_a = packs_a ? round_up(chunk * unit * job.m * sizeof(T), kAlign) : 0;
    packed_b = round_up(panel_pixels(b) * kNr<T> * sizeof(T), kAlign);
    runs = round_up(taps1 * taps2 * (chunk + 1) * sizeof(Run), kAlign);
  }

  // Pixels of a panel of B: windowed, of the lines that the windows of a chunk reach.
  int64_t panel_pixels(const Source<T>& b) const {
    if (!windowed) return chunk;
    const int64_t images = ceil_div(chunk, b.d1) + 1, window = (taps1 - 1) * b.step1 + 1;
    return least(chunk * b.mul1 + images * window, images * b.h_end) * b.w_end;
  }
  int64_t shared_bytes() const { return partials; }
  int64_t thread_bytes() const { return packed_a + packed_b + runs; }
};

}  // namespace
}  // namespace fc::FC_ISA
