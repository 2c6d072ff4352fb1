// How winograd.cpp cuts a convolution: patches into blocks, blocks into rounds; and how the
// transformed weights lie.
#pragma once

#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/stream.h"
#include "cpu/kernels/tile.h"
#include "cpu/parallel.h"
#include "winograd_points.h"

namespace fc::FC_ISA {
namespace {

using winograd::kFrequencies;
using winograd::kOutputs;
using winograd::kPoints;
using winograd::kTaps;

// V and M of a block that a thread has for itself: most of a second-level cache of 1 MB
constexpr int64_t kOwnBytes = int64_t{640} << 10;
// V of a round of all threads: a share of the third-level cache
constexpr int64_t kRoundBytes = int64_t{12} << 20;
constexpr int64_t kRoundBlock = 4 * kMr;  // tiles of a block in a round, at most
constexpr int64_t kRoundTasks = 4;        // of a round, wanted
constexpr int64_t kOwnBlocks = 16;        // for a thread each, or there is too little to share out
constexpr int64_t kOffset = 64;  // bytes that keep frequencies in different sets of a cache

// channels whose weights are transformed together: their taps lie in the first-level cache
constexpr int64_t kPackChannels = 16;

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

template <class T>
struct Plan {
  int64_t channels, row;  // inputs: their number, and elements from one patch of V to the next
  int64_t panels, padded;
  int64_t tiles_h, tiles_w, tiles;
  bool alone;  // every thread transforms its own blocks; else all of them a round, then multiply
  int64_t blocks, block;         // in all; tiles of one, at most
  int64_t rounds, round_blocks;  // blocks of a round, at most
  bool stream;
  int64_t v_stride, m_stride;  // elements between frequencies
  // workspace, bytes: shared ...
  int64_t zeros, packed, sums, round;
  // ... and per thread
  int64_t v, m;

  explicit Plan(const GemmJob<T>& job) {
    const Target<T>& c = job.c;
    channels = job.a.run;
    row = round_up(channels, kVw<T>);
    panels = ceil_div(job.n, kNr<T>);
    padded = round_up(job.n, kVw<T>);
    tiles_h = ceil_div(c.d1, kOutputs);
    tiles_w = ceil_div(c.d2, kOutputs);
    tiles = job.m / (c.d1 * c.d2) * tiles_h * tiles_w;

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
    stream = streams_rows<T>(job.m * job.n, 1, c.base + c.offset, c.s0, c.s1, c.s2);

    const int64_t offset = kOffset / sizeof(T);
    v_stride = (alone ? block : block * round_blocks) * row + offset;
    m_stride = block * kNr<T> + offset;
    const auto bytes = [](int64_t n) { return round_up(n * sizeof(T), kAlign); };
    zeros = bytes(row);
    packed = job.packed_b ? 0 : bytes(elements(job));
    sums = job.epilogue.sums ? round_up(blocks * 2 * job.n * sizeof(double), kAlign) : 0;
    v = bytes(kFrequencies * v_stride);
    m = bytes(kFrequencies * m_stride);
    round = alone ? 0 : v;
    if (!alone) v = 0;
  }

  int64_t first_tile(int64_t block) const { return tiles * block / blocks; }
  int64_t shared_bytes() const { return zeros + packed + sums + round; }
  int64_t thread_bytes() const { return v + m; }

  TilePlace place(const GemmJob<T>& job, int64_t tile) const {
    const Source<T>& a = job.a;
    TilePlace p;
    p.w = tile % tiles_w * kOutputs;
    p.h = tile / tiles_w % tiles_h * kOutputs;
    p.image = tile / tiles_w / tiles_h;
    p.patch_h = p.h + a.off1 - (a.step1 < 0 ? kTaps - 1 : 0);
    p.patch_w = p.w + a.off2 - (a.step2 < 0 ? kTaps - 1 : 0);
    p.lines = least(job.c.d1 - p.h, kOutputs);
    p.columns = least(job.c.d2 - p.w, kOutputs);
    return p;
  }

  // Elements of U (panels, frequencies, channels, columns of the panel).
  static int64_t elements(const GemmJob<T>& job) {
    return kFrequencies * job.a.run * round_up(job.n, kVw<T>);
  }
};

// U = G w G' of one panel, for the channels [first, first + count).
template <class T, int V>
void transform_weights_of(const GemmJob<T>& job, int64_t column, int64_t columns, int64_t first,
                          int64_t count, T* panel) {
  constexpr int64_t kWidth = V * kVw<T>;
  const int64_t channels = job.a.run;
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
        store(panel + ((p * kPoints + j) * channels + first) * kWidth + i * kVw<T>, points[p]);
      }
    }
  }
}

template <class T>
void transform_all_weights(const GemmJob<T>& job, T* packed) {
  const int64_t channels = job.a.run, pieces = ceil_div(channels, kPackChannels);
  const int64_t panels = ceil_div(job.n, kNr<T>);
  parallel(panels * pieces, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i / pieces * kNr<T>, first = i % pieces * kPackChannels;
      const int64_t columns = least(job.n - column, kNr<T>);
      const int64_t count = least(channels - first, kPackChannels);
      T* panel = packed + kFrequencies * channels * column;
      columns > kVw<T> ? transform_weights_of<T, 2>(job, column, columns, first, count, panel)
                       : transform_weights_of<T, 1>(job, column, columns, first, count, panel);
    }
  });
}

}  // namespace
}  // namespace fc::FC_ISA
