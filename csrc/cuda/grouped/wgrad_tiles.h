// Which thread owns which part of the gradient by w, and which pixels it goes through.
//
// A pair is four k and four c of one group. A block owns all pairs of some groups, several times
// over (strips), and one part of the patches of pixels (a split): see depthwise/strips.h.
#pragma once

#include "cuda/depthwise/strips.h"
#include "cuda/grouped/groups.h"

namespace fc::cuda {

struct GroupedOwner {
  bool there;  // whether the thread owns anything
  int strip, r;
  int k, c;  // the first of four, in gy and x
  int k_of_block, c_of_group;
};

struct GroupedWgradTiles {
  static constexpr int kSize = 3, kTaps = kSize * kSize;
  static constexpr int kOwners = 64;                // most pairs, times strips, of a block
  static constexpr int kThreads = kOwners * kSize;  // at most; two such blocks have 168 registers

  int k, kg, cg, groups;
  int block_groups;  // of a block
  int64_t patches;
  Strips strips;
  Divider by_row_of_window, by_pairs_of_group, by_fours_of_k, by_columns, by_rows;

  GroupedWgradTiles(const Conv2dProblem& p, int per_patch)
      : k(static_cast<int>(p.k)),
        kg(static_cast<int>(p.kg())),
        cg(static_cast<int>(p.cg())),
        groups(static_cast<int>(p.groups)),
        block_groups(
            groups_of_block(p.groups, std::min(kOwners / pairs_of_group(), kWarp), kg / kChannels)),
        patches(p.n * p.p * ceil_div(p.q, per_patch)),
        strips(kOwners / pairs(), patches, blocks(), kPatchesOfStrip),
        by_row_of_window(pairs()),
        by_pairs_of_group(pairs_of_group()),
        by_fours_of_k(kg / kChannels),
        by_columns(ceil_div(p.q, per_patch)),
        by_rows(p.p) {}

  __host__ __device__ int pairs_of_group() const { return kg * cg / (kChannels * kChannels); }
  __host__ __device__ int pairs() const { return block_groups * pairs_of_group(); }
  int64_t blocks() const { return ceil_div(groups, block_groups); }

  dim3 grid() const {
    return dim3(static_cast<unsigned>(strips.splits), static_cast<unsigned>(blocks()));
  }
  dim3 threads() const {
    return dim3(static_cast<unsigned>(ceil_div(strips.strips * kSize * pairs(), kWarp) * kWarp));
  }
  size_t shared_bytes() const { return strips.strips * strip_results() * sizeof(float); }

  // elements of gw, those of a whole block, those of this block, and where they begin
  __host__ __device__ int64_t results() const { return int64_t{k} * kTaps * cg; }
  __host__ __device__ int strip_results() const { return block_groups * kg * kTaps * cg; }
  FC_DEVICE int block_results() const {
    return std::min(block_groups, groups - first_group()) * kg * kTaps * cg;
  }
  FC_DEVICE int64_t first_result() const { return int64_t{first_group()} * kg * kTaps * cg; }

  // Thread = (strip, r, group, c, k): neighbours own neighbouring k, each with another c, so that
  // both are read as whole sectors.
  FC_DEVICE GroupedOwner owner() const {
    GroupedOwner o;
    int rest, pair, group, turn, four_of_k;
    by_row_of_window.split(static_cast<int>(threadIdx.x), rest, pair);
    o.strip = rest / kSize;
    o.r = rest % kSize;
    by_pairs_of_group.split(pair, group, pair);
    by_fours_of_k.split(pair, turn, four_of_k);
    const int four_of_c = (turn + four_of_k) % (cg / kChannels);
    o.there = o.strip < strips.strips && first_group() + group < groups;
    o.k_of_block = group * kg + four_of_k * kChannels;
    o.c_of_group = four_of_c * kChannels;
    o.k = first_group() * kg + o.k_of_block;
    o.c = (first_group() + group) * cg + o.c_of_group;
    return o;
  }
  // In shared memory (strips, K of the block, taps, C/groups): of the owner's k-th channel and tap
  // s of its row.
  FC_DEVICE int place(const GroupedOwner& o, int k_of_four, int s) const {
    return o.strip * strip_results() + ((o.k_of_block + k_of_four) * kTaps + o.r * kSize + s) * cg +
           o.c_of_group;
  }

 private:
  static constexpr int64_t kPatchesOfStrip = 16;  // at least: what it costs to store 48 sums

  FC_DEVICE int first_group() const { return static_cast<int>(blockIdx.y) * block_groups; }
};

}  // namespace fc::cuda
