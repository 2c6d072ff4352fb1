// How winograd.cpp cuts a convolution: patches into blocks, blocks into rounds; and how the
// transformed weights lie.
#pragma once

#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/stream.h"
#include "cpu/kernels/tile.h"
#include "cpu/kernels/winograd_patch.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// V and M of a block that a thread has for itself: most of a second-level cache of 1 MB
constexpr int64_t kOwnBytes = int64_t{640} << 10;
// V of a round of all threads: a share of the third-level cache
constexpr int64_t kRoundBytes = int64_t{12} << 20;
constexpr int64_t kRoundBlock = 4 * kMr;  // tiles of a block in a round, at most
constexpr int64_t kRoundTasks = 4;        // of a round, wanted
constexpr int64_t kOwnBlocks = 16;        // for a thread each, or there is too little to share out
// channels whose weights are transformed together: their taps lie in the first-level cache
constexpr int64_t kPackChannels = 16;

// Elements between the frequencies of a panel of U, which has so many vectors.
template <class T>
int64_t frequency_stride(int64_t channels, int64_t vectors) {
  return channels * vectors * kVw<T> + kOffset / static_cast<int64_t>(sizeof(T));
}

template <class T>
struct Plan {
  int64_t channels, row;  // inputs: their number, and elements from one patch of V to the next
  int64_t panels, padded;
  TileGrid<T> grid;
  int64_t tiles;
  bool alone;  // every thread transforms its own blocks; else all of them a round, then multiply
  int64_t blocks, block;         // in all; tiles of one, at most
  int64_t rounds, round_blocks;  // blocks of a round, at most
  bool by_panel;                 // a thread transforms the weights of a panel when it comes to them
  bool stream;
  int64_t v_stride, m_stride;  // elements between frequencies
  // workspace, bytes: shared ...
  int64_t zeros, packed, sums, round;
  // ... and per thread
  int64_t v, m, panel;

  explicit Plan(const GemmJob<T>& job) : grid(job.m, job.c.d1, job.c.d2) {
    const Target<T>& c = job.c;
    channels = job.a.run;
    row = round_up(channels, kVw<T>);
    panels = ceil_div(job.n, kNr<T>);
    padded = round_up(job.n, kVw<T>);
    tiles = grid.tiles;

    const int64_t v_bytes = kFrequencies * row * sizeof(T);
    const int64_t m_bytes = kFrequencies * kNr<T> * sizeof(T);
    block = kOwnBytes / (v_bytes + m_bytes) / kMr * kMr;
    alone = block >= 2 * kMr && tiles >= kOwnBlocks * block;
    int64_t round_tiles = tiles;
    if (!alone) {
      const int64_t fit = most(kRoundBytes / v_bytes, kMr);
      round_tiles = ceil_div(tiles, ceil_div(tiles, fit));
      block = least(round_tiles, kRoundBlock);
      while (block > kMr && panels * ceil_div(round_tiles, block) < kRoundTasks) {
        block = ceil_div(block, 2);
      }
    }
    blocks = ceil_div(tiles, block);
    block = ceil_div(tiles, blocks);
    rounds = alone ? 1 : ceil_div(blocks * block, round_tiles);
    round_blocks = ceil_div(blocks, rounds);
    by_panel = !alone && rounds == 1 && !job.packed_b;
    stream = streams_rows<T>(job.m * job.n, 1, c.base + c.offset, c.s0, c.s1, c.s2);

    const int64_t offset = kOffset / sizeof(T);
    v_stride = (alone ? block : block * round_blocks) * row + offset;
    m_stride = block * kNr<T> + offset;
    const auto bytes = [](int64_t n) { return round_up(n * sizeof(T), kAlign); };
    zeros = bytes(row);
    packed = job.packed_b || by_panel ? 0 : bytes(elements(job));
    panel = by_panel ? bytes(panel_elements(channels, kTileVecs)) : 0;
    sums = job.epilogue.sums ? round_up(blocks * 2 * job.n * sizeof(double), kAlign) : 0;
    v = bytes(kFrequencies * v_stride);
    m = bytes(kFrequencies * m_stride);
    round = alone ? 0 : v;
    if (!alone) v = 0;
  }

  static int64_t panel_elements(int64_t channels, int64_t vectors) {
    return kFrequencies * frequency_stride<T>(channels, vectors);
  }
  int64_t first_tile(int64_t block) const { return tiles * block / blocks; }
  int64_t shared_bytes() const { return zeros + packed + sums + round; }
  int64_t thread_bytes() const { return v + m + panel; }

  // Elements of U (panels, frequencies, channels, columns of the panel); the last panel may have
  // one vector.
  static int64_t elements(const GemmJob<T>& job) {
    const int64_t vectors = ceil_div(job.n, kVw<T>);
    return vectors / kTileVecs * panel_elements(job.a.run, kTileVecs) +
           vectors % kTileVecs * panel_elements(job.a.run, 1);
  }
};

// U = G w G' of one panel, for the channels [first, first + count).
template <class T, int V>
void transform_weights_of(const GemmJob<T>& job, int64_t column, int64_t columns, int64_t first,
                          int64_t count, T* panel) {
  constexpr int64_t kWidth = V * kVw<T>;
  const int64_t channels = job.a.run, stride = frequency_stride<T>(channels, V);
  alignas(64) T taps[kTaps][kTaps][kPackChannels * kWidth];
  for (int r = 0; r < kTaps; ++r) {
    for (int s = 0; s < kTaps; ++s) {
      const int in_h = job.a.step1 < 0 ? kTaps - 1 - r : r;
      const int in_w = job.a.step2 < 0 ? kTaps - 1 - s : s;
      pack_piece(job, 0, column, columns, (r * kTaps + s) * channels + first, count, kWidth,
                 taps[in_h][in_w]);
    }
  }
  for (int64_t i = 0; i < count * V; ++i) {
    Vec<T> half[kTaps][kPoints];
    for (int r = 0; r < kTaps; ++r) {
      Vec<T> line[kTaps];
      for (int s = 0; s < kTaps; ++s) line[s] = load(taps[r][s] + i * kVw<T>);
      winograd::transform_weights<T>(line, half[r], Fused<T>());
    }
    for (int j = 0; j < kPoints; ++j) {
      const Vec<T> window[kTaps] = {half[0][j], half[1][j], half[2][j]};
      Vec<T> points[kPoints];
      winograd::transform_weights<T>(window, points, Fused<T>());
      for (int p = 0; p < kPoints; ++p) {
        store(panel + (p * kPoints + j) * stride + first * kWidth + i * kVw<T>, points[p]);
      }
    }
  }
  if (first + count < channels) return;
  for (int f = 0; f < kFrequencies; ++f) {
    zero(panel + f * stride + channels * kWidth, stride - channels * kWidth);
  }
}

// The taps of a piece lie in many pages: they are asked for while the piece before is transformed.
template <class T>
void ask_for_taps(const GemmJob<T>& job, int64_t column, int64_t columns, int64_t first,
                  int64_t count) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  const Source<T>& b = job.b;
  for (int64_t tap = 0; tap < kTaps * kTaps; ++tap) {
    if (job.b_by_k) {
      const T* row = b.base + b.offset + tap / kTaps * b.s0 + tap % kTaps * b.s1 + column;
      for (int64_t i = first; i < first + count; ++i) {
        for (int64_t j = 0; j < columns; j += kLine) prefetch_early(row + i * b.s2 + j);
      }
    } else {
      const T* row = b.base + b.offset + tap * job.a.run + first;
      for (int64_t j = column; j < column + columns; ++j) prefetch_early(row + j * b.s2);
    }
  }
}

// Of the kPackChannels channels of a piece, into their place in a panel.
template <class T>
void transform_piece(const GemmJob<T>& job, int64_t panel, int64_t piece, T* to) {
  const int64_t column = panel * kNr<T>, columns = least(job.n - column, kNr<T>);
  const int64_t first = piece * kPackChannels, count = least(job.a.run - first, kPackChannels);
  const int64_t next = first + count;
  ask_for_taps(job, column, columns, next, least(job.a.run - next, kPackChannels));
  columns > kVw<T> ? transform_weights_of<T, 2>(job, column, columns, first, count, to)
                   : transform_weights_of<T, 1>(job, column, columns, first, count, to);
}

template <class T>
void transform_all_weights(const GemmJob<T>& job, T* packed) {
  const int64_t channels = job.a.run, pieces = ceil_div(channels, kPackChannels);
  const int64_t panels = ceil_div(job.n, kNr<T>);
  parallel(panels * pieces, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / pieces;
      transform_piece(job, panel, i % pieces,
                      packed + panel * Plan<T>::panel_elements(channels, kTileVecs));
    }
  });
}

}  // namespace
}  // namespace fc::FC_ISA
