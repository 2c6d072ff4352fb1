// How gemm_rows.cpp cuts a product: blocks of tiles, panels of B, and the panels packed.
#pragma once

#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/stream.h"
#include "cpu/kernels/tile.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// of A, per block: leaves room for a panel of B in a second-level cache of 1 MB
constexpr int64_t kBlockBytes = int64_t{256} << 10;
constexpr int64_t kBlockTiles = 16;
// blocks are made smaller until there are so many tasks
constexpr int64_t kWantedTasks = 64;
// of B packed as a whole, in the third-level cache: more is packed panel by panel where it is used
constexpr int64_t kPackedBytes = int64_t{16} << 20;

template <class T>
int64_t packed_elements(const GemmJob<T>& job) {
  return job.groups * job.k * round_up(job.n, kVw<T>);
}

// kPackRows rows of a panel, into their place in it
template <class T>
void pack_rows(const GemmJob<T>& job, int64_t group, int64_t panel, int64_t piece, T* to) {
  const int64_t column = panel * kNr<T>, columns = least(job.n - column, kNr<T>);
  const int64_t width = columns > kVw<T> ? kNr<T> : kVw<T>;
  const int64_t l0 = piece * kPackRows, count = least(job.k - l0, kPackRows);
  pack_piece(job, group, column, columns, l0, count, width, to + l0 * width);
}

template <class T>
void pack(const GemmJob<T>& job, T* packed) {
  const int64_t padded = round_up(job.n, kVw<T>), panels = ceil_div(job.n, kNr<T>);
  const int64_t pieces = ceil_div(job.k, kPackRows);
  const auto pack_panel = [&](int64_t group, int64_t panel, int64_t piece) {
    T* to = packed + (group * padded + panel * kNr<T>)*job.k;
    pack_rows(job, group, panel, piece, to);
  };
  // B by k: rows are read along; else columns are
  parallel(job.groups * pieces * panels, grain_for(kPackRows * kNr<T>),
           [&](int64_t begin, int64_t end, int) {
             for (int64_t i = begin; i < end; ++i) {
               if (job.b_by_k) {
                 pack_panel(i / panels / pieces, i % panels, i / panels % pieces);
               } else {
                 pack_panel(i / pieces / panels, i / pieces % panels, i % pieces);
               }
             }
           });
}

template <class T>
struct Plan {
  Taps<T> taps;
  int64_t tiles, block, blocks;  // tiles: all, of a block at most; blocks
  int64_t panels, padded;        // of a group: panels, columns with those that fill the last vector
  bool by_panel;                 // a thread packs a panel, then multiplies all blocks by it
  bool lines_first;
  bool stream;     // C is written past the caches
  bool staged;     // A goes through the prologue, into a buffer of the block's lines
  int64_t pixels;  // of the buffer, at most
  // workspace, bytes: shared ...
  int64_t zeros, packed, sums;
  // ... and per thread
  int64_t table, border, stage, panel;

  explicit Plan(const GemmJob<T>& job) : taps(job.a, job.k) {
    const Source<T>& a = job.a;
    tiles = ceil_div(job.m, kMr);
    panels = ceil_div(job.n, kNr<T>);
    padded = round_up(job.n, kVw<T>);
    staged = a.prologue.scale != nullptr;
    const bool same_rows = a.d1 == job.c.d1 && a.d2 == job.c.d2;
    lines_first = !staged && same_rows && a.d2 < kMr && taps.count() > 1 &&
                  a.first_row + job.c.first_row == 0;

    // neighbouring windows share what they read, up to the stride
    const int64_t step = a.mul1 * a.mul2, windows = a.run > 0 ? job.k / a.run : 0;
    const int64_t row_bytes = (windows < step ? windows : step) * a.run * job.groups * sizeof(T);
    const int64_t tile_bytes = kMr * (row_bytes + taps.count() * sizeof(T*)) + 1;
    block = kBlockBytes / tile_bytes;
    if (block > kBlockTiles) block = kBlockTiles;
    if (block < 1) block = 1;
    while (block > 1 && ceil_div(tiles, block) * panels * job.groups < kWantedTasks) block /= 2;
    blocks = ceil_div(tiles, block);
    block = ceil_div(tiles, blocks);

    const Target<T>& c = job.c;
    stream =
        !job.accumulate && streams_rows<T>(job.m * job.n * job.groups, kTileVecs, c.base + c.offset,
                                           c.group_stride, c.s0, c.s1, c.s2);

    const auto bytes = [](int64_t n) { return round_up(n, kAlign); };
    zeros = bytes(((job.groups - 1) * a.group_stride + taps.run) * sizeof(T));
    packed = job.packed_b ? 0 : bytes(packed_elements(job) * sizeof(T));
    by_panel = packed > kPackedBytes;
    panel = by_panel ? bytes(job.k * kNr<T> * sizeof(T)) : 0;
    if (by_panel) packed = 0;
    sums = job.epilogue.sums ? bytes(blocks * 2 * job.groups * job.n * sizeof(double)) : 0;
    table = bytes(taps.count() * kMr * sizeof(T*)) + bytes(taps.count() * sizeof(int32_t)) +
            bytes(kMr * sizeof(T*));
    border = bytes(border_elements(taps) * sizeof(T));
    pixels = stage = 0;
    if (!staged) return;
    pixels = block * kMr;  // of a matrix: the rows themselves
    if (a.h_end > 1 || a.d1 > 1) {
      // what the lines of C that a block touches reach, and twice a window for an image's end
      const int64_t window = taps.count1 > 0 ? (taps.count1 - 1) * a.step1 + 1 : 1;
      const int64_t lines = (ceil_div(block * kMr, a.d2) + 2) * a.mul1 + 3 * window;
      const int64_t all = a.h_end * ceil_div(a.first_row + job.m, a.d1 * a.d2);
      pixels = (lines < all ? lines : all) * a.w_end;
    }
    stage = bytes(pixels * a.s2 * sizeof(T));
  }

  int64_t shared_bytes() const { return zeros + packed + sums; }
  int64_t thread_bytes() const { return block * (table + border) + stage + panel; }
};

}  // namespace
}  // namespace fc::FC_ISA
