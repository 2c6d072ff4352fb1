// How a first layer is cut into blocks: of a few candidates the one that a count of instructions
// favours. Everything depends on the problem alone, so that results do.
//
// Threads own 8 output channels, `lanes` of them side by side all channels of a block.
#pragma once

#include <algorithm>

#include "cuda/device/launch.h"
#include "cuda/stem/image.h"

namespace fc::cuda {

constexpr int kStemShared = 64 << 10;
constexpr int64_t kStemProcessors = 132;  // of an H100 or H200; more than most GPUs have
// instructions per float, beside 1 per multiply-add
constexpr int kStagingCost = 10;
constexpr int kPartialCost = 24;  // of a partial sum: the bytes there and back, from a shared cache

// The most that leave few of the block's channels without work.
inline int lanes_for(int64_t k) {
  const int64_t least = ceil_div(k, 8) * 8;
  int lanes = 8;
  while (4 * ceil_div(k, lanes * 8) * lanes * 8 > 5 * least) lanes /= 2;
  return lanes;
}

// A smaller block takes no less time: four units of a processor take a warp each.
inline int busy_threads(int threads) { return std::max(threads, 4 * kWarp); }

// Of 2 rows x 4 columns x 8 channels a thread.
struct StemFwdPlan {
  int lanes = 0, strips = 0, threads = 0;  // strips: quads side by side
  int window_rows = 0;                     // whose weights are in shared memory at once
  int steps = 1;                           // tiles of a block, one after the other
  int64_t blocks = 0, channel_blocks = 0;
  StemPatch patch;

  StemFwdPlan(const Conv2dProblem& p, const StemImage& image) : patch(image, p.n, 2, kQuad) {
    int64_t least = INT64_MAX;
    // more lanes have smaller patches: 8 of them fit all problems
    for (int with = lanes_for(p.k); least == INT64_MAX; with *= 2) {
      for (const int strips : {8, 4}) {
        if (with == 1 && strips == 4) continue;  // a quarter of a warp reads 8 quads of a row
        for (const int threads : {256, 128, 64}) {
          const int rows = 2 * (threads / with / strips);
          try_one(p, image, with, strips, threads, StemPatch(image, p.n, rows, strips * kQuad),
                  least);
        }
      }
    }
  }

  // rows of lanes*8 channels and one vector more, so that writing a column meets all banks
  static constexpr int pitch(int lanes) { return lanes * 8 + kQuad; }
  int patch_floats(const StemImage& image) const {
    return std::max(patch.floats(image), sums_floats());
  }
  int sums_floats() const { return lanes * 8 * (1 + 2 * threads / kWarp); }
  size_t shared_bytes(const StemImage& image) const {
    return (patch_floats(image) + window_rows * image.run * pitch(lanes)) * sizeof(float);
  }
  int64_t sums_bytes(const Conv2dProblem& p) const {
    return patch.tiles * 2 * p.k * static_cast<int64_t>(sizeof(double));
  }

 private:
  void try_one(const Conv2dProblem& p, const StemImage& image, int lanes, int strips, int threads,
               const StemPatch& patch, int64_t& least) {
    StemFwdPlan other(*this);
    other.lanes = lanes, other.strips = strips, other.threads = threads, other.patch = patch;
    const int row_bytes = image.run * pitch(lanes) * static_cast<int>(sizeof(float));
    const int room = kStemShared - other.patch_floats(image) * static_cast<int>(sizeof(float));
    if (room < row_bytes) return;
    other.window_rows = std::min(image.r, room / row_bytes);
    other.channel_blocks = ceil_div(p.k, lanes * 8);
    const int64_t blocks = patch.tiles * other.channel_blocks;
    other.steps = static_cast<int>(std::max(int64_t{1}, blocks / (4 * kStemProcessors)));
    other.blocks = ceil_div(patch.tiles, other.steps);
    const int64_t depth = image.r * image.run;
    const int64_t cost = busy_threads(threads) * 64 * depth +
                         kStagingCost * (patch.floats(image) + depth * pitch(lanes) / other.steps);
    const int64_t all = ceil_div(blocks, kStemProcessors) * cost;
    if (all >= least) return;
    least = all;
    *this = other;
  }
};

// Positions b + d*step of a plane that a thread owns beside each other, and how many such lines.
constexpr int lines_of_thread(int shifts) { return shifts == 2 ? 3 : 2; }

// Gradient by w: a thread owns a few lines of the window x 8 channels and goes through quads.
struct StemWgradPlan {
  int lanes = 0, shifts = 0;  // of a line
  int lines = 0;              // of the window
  int owners = 0, parts = 0;  // threads beside each other; the quads of a tile are dealt to parts
  int64_t channel_blocks = 0, line_blocks = 0;
  int64_t splits = 0, each = 0;  // of the tiles; tiles of a split
  StemPatch patch;
  Divider by_owners, by_strips, by_lines;

  StemWgradPlan(const Conv2dProblem& p, const StemImage& image) : patch(image, p.n, 1, kQuad) {
    lanes = lanes_for(p.k);
    shifts = std::min(std::max(image.shifts, 2), kQuad);
    lines = image.r * image.planes * ceil_div(image.shifts, kQuad);
    by_lines = Divider(image.r * image.planes);
    int64_t least = INT64_MAX;
    for (const int strips : {8, 4}) {
      for (const int rows : {8, 4, 2, 1}) {
        try_one(p, image, StemPatch(image, p.n, rows, strips * kQuad), least);
      }
    }
    by_owners = Divider(owners);
    by_strips = Divider(patch.columns / kQuad);
  }

  int threads() const { return ceil_div(lanes * owners * parts, kWarp) * kWarp; }
  int quads() const { return patch.rows * patch.columns / kQuad; }
  int gradient_floats() const { return patch.rows * patch.columns * lanes * 8; }
  size_t shared_bytes(const StemImage& image) const {
    const int staged = patch.floats(image) + gradient_floats();
    return std::max(staged, threads() * 8) * sizeof(float);
  }
  int64_t partial_bytes(const Conv2dProblem& p) const {
    return ceil_div(splits * p.r * p.s * p.c * p.k * int64_t{sizeof(float)}, 16) * 16;
  }

 private:
  void try_one(const Conv2dProblem& p, const StemImage& image, const StemPatch& patch,
               int64_t& least) {
    StemWgradPlan other(*this);
    other.patch = patch;
    const int64_t wanted = ceil_div(lines, lines_of_thread(shifts)), most = kBlock / lanes;
    other.line_blocks = ceil_div(wanted, most);
    other.owners = static_cast<int>(ceil_div(wanted, other.line_blocks));
    other.parts = std::min(kBlock / (lanes * other.owners), other.quads());
    if (other.shared_bytes(image) > kStemShared) return;
    other.channel_blocks = ceil_div(p.k, lanes * 8);
    const int64_t beside = other.channel_blocks * other.line_blocks;
    const int64_t sums = busy_threads(other.threads()) * shifts * lines_of_thread(shifts) * 8;
    const int64_t tile = sums * kQuad * ceil_div(other.quads(), other.parts) +
                         kStagingCost * (patch.floats(image) + other.gradient_floats() / kQuad);
    for (int64_t most = 4 * kStemProcessors; most > 0; most /= 4) {
      other.each = ceil_div(patch.tiles, std::max(int64_t{1}, most / beside));
      other.splits = ceil_div(patch.tiles, other.each);
      const int64_t partial = other.splits * image.r * image.run * image.k;
      const int64_t all = ceil_div(other.splits * beside, kStemProcessors) *
                              (other.each * tile + kStagingCost * sums) +
                          kPartialCost * partial / kStemProcessors;
      if (all >= least) continue;
      least = all;
      *this = other;
    }
  }
};

}  // namespace fc::cuda
