// 3x3 windows of dilation 1 and stride kStep (1 or 2) on groups of channels, taps unrolled: what
// one thread adds up for four output channels of the kColumns pixels of its patch. The formulas of
// rows, columns and taps are those of depthwise/fixed_window.h, with a sum over the group's input
// channels, four at a time.
//
// Four inputs of a row are in registers once and serve all pixels, taps and outputs that they meet:
// 16 * 3 * kColumns products (stride 1) for 12 vectors of weights and kColumns + 2 of the image. Of
// the instructions of that loop 72 in 100 are multiply-adds (stride 1, sm_80).
// Threads of a group's other outputs read the same inputs; each begins with another four and goes
// around, so that together they read whole sectors.
#pragma once

#include "cuda/depthwise/fixed_window.h"
#include "cuda/device/async_copy.h"
#include "cuda/device/warp.h"
#include "cuda/grouped/groups.h"

namespace fc::cuda {

template <int kStride, bool kIsBackward>
struct GroupedWindow {
  static constexpr bool kBackward = kIsBackward;
  static constexpr int kSize = 3, kTaps = kSize * kSize, kStep = kStride;
  // 7: maps of 7, 14, 28, 56 pixels leave nobody idle; of stride 2 forwards, 15 inputs do not fit
  // in registers; backwards, patches begin at multiples of the stride
  static constexpr int kColumns = kStep == 1 ? 7 : kBackward ? 8 : 4;
  static constexpr int kInputs =
      kBackward ? (kColumns - 1) / kStep + (kSize - 1) / kStep + 1 : (kColumns - 1) * kStep + kSize;
  using Taps = FixedWindow<kSize, kStep, kBackward>;

  // The weights of four inputs and four outputs, (4 of K, 9 taps, 4 of C/groups), lie side by side:
  // a square. Behind it one vector is left free, and a row of squares, of the same inputs and all
  // outputs of the block, has a multiple of 8: threads of neighbouring outputs then read different
  // banks, whatever their inputs.
  static constexpr int kSquare = kChannels * kTaps;  // vectors of weights
  static constexpr int kPitch = (kSquare + 1) * kChannels;
  static constexpr int kBanks = 8;         // vectors of 16 bytes that a wavefront reads
  static constexpr int kMostSquares = 64;  // of a block: 37 KB

  static int vectors(const Conv2dProblem& p) {
    const InputGroups groups(p, kBackward);
    const int most = std::min(kMostSquares / groups.fours / kBanks * kBanks, kWarp);
    return groups_of_block(p.groups, most / groups.out_fours, groups.out_fours) * groups.out_fours;
  }
  static __host__ __device__ int squares_of_row(const Tiles& tiles) {
    return ceil_div(tiles.vectors, kBanks) * kBanks;
  }
  template <class T>
  static size_t shared_bytes(const InputGroups& groups, const Tiles& tiles) {
    constexpr size_t kAlign = 16;
    return ceil_div(groups.fours * squares_of_row(tiles) * kPitch * sizeof(T), kAlign) * kAlign;
  }

  // w (K, 3, 3, C/groups) of the block's groups to shared memory, (fours of inputs, squares of a
  // row, kPitch). A warp copies vectors of 8 neighbouring outputs, 4 neighbours of each.
  template <class T>
  static FC_DEVICE void prepare(const InputGroups& groups, const Tiles& tiles, const T* w) {
    const int lane = lane_of_thread(), warp = warp_of_thread();
    const int first = tiles.first_channel<kChannels>() / kChannels;
    const int vectors = std::min(tiles.vectors, tiles.channels / kChannels - first);
    for (int vector = lane % kBanks; vector < vectors; vector += kBanks) {
      // forwards a vector's weights are one piece of w; backwards one c of all k of its group
      int group, four_of_group;
      groups.by_out_fours.split(first + vector, group, four_of_group);
      const int64_t begin =
          kBackward ? int64_t{group} * groups.fours * kSquare * groups.out_fours + four_of_group
                    : int64_t{first + vector} * kSquare * groups.fours;
      for (int i = warp * 4 + lane / kBanks; i < kSquare * groups.fours; i += kBlock / kBanks) {
        int four, of_square;
        if constexpr (kBackward) {
          four = i / kSquare;
          of_square = i % kSquare;
        } else {
          groups.by_fours.split(i, of_square, four);
        }
        copy_async<kChannels>(
            square<T>(tiles, four, vector) + of_square * kChannels,
            w + (begin + (kBackward ? int64_t{i} * groups.out_fours : i)) * kChannels);
      }
    }
    commit_copies();
    wait_copies<0>();
    __syncthreads();
  }

  // load_row(patch, row, first column, four, inputs): four channels of the patch's group of pixels
  // of a row, zeros outside of the image
  template <class T, class LoadRow>
  static FC_DEVICE void accumulate(const Image& image, const InputGroups& groups,
                                   const Tiles& tiles, const Patch& patch, int first_four,
                                   LoadRow load_row, Vec<float, kChannels> (&acc)[kColumns]) {
    const int to_row = patch.row + image.pad_top, to_column = patch.column + image.pad_left;
    const int first_tap = kBackward ? to_row % kStep : 0;
    const int first_row = kBackward ? to_row / kStep : patch.row * kStep - image.pad_top;
    const int first_column =
        kBackward ? to_column / kStep - (kSize - 1) / kStep : patch.column * kStep - image.pad_left;
#pragma unroll 1
    for (int k = 0; k < (kBackward ? ceil_div(kSize, kStep) : kSize); ++k) {
      const int r = first_tap + (kBackward ? k * kStep : k);
      const int row = first_row + (kBackward ? -k : k);
      if (r >= kSize || row < 0 || row >= image.in_h) continue;
      int four = first_four;
#pragma unroll 1
      for (int step = 0; step < groups.fours; ++step) {
        Vec<float, kChannels> in[kInputs];
        load_row(patch, row, first_column, four, in);
        add_inputs(square<T>(tiles, four, patch.vector) + r * kSize * kChannels, in, acc);
        if (++four == groups.fours) four = 0;
      }
    }
  }

 private:
  // acc[pixel][output] += inputs of a row * weights; taps: (4 of K, 9, 4 of C/groups)
  template <class T>
  static FC_DEVICE void add_inputs(const T* taps, const Vec<float, kChannels> (&in)[kInputs],
                                   Vec<float, kChannels> (&acc)[kColumns]) {
#pragma unroll
    for (int k = 0; k < kChannels; ++k) {
      Vec<float, kChannels> weights[kSize];
#pragma unroll
      for (int s = 0; s < kSize; ++s) {
        weights[s] = widen(load<kChannels>(taps + (k * kTaps + s) * kChannels));
      }
#pragma unroll
      for (int j = 0; j < kInputs; ++j) {
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          const int s = Taps::tap_of(i, j);
          if (s < 0) continue;
#pragma unroll
          for (int c = 0; c < kChannels; ++c) {
            acc[i][kBackward ? c : k] += in[j][kBackward ? k : c] * weights[s][c];
          }
        }
      }
    }
  }

  template <class T>
  static FC_DEVICE T* square(const Tiles& tiles, int four, int vector) {
    return shared_memory<T>() + (four * squares_of_row(tiles) + vector) * kPitch;
  }
};

}  // namespace fc::cuda
