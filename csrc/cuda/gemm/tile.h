// How a block's threads share a tile of the matrix product c (m, n) = sum_k a (m, k) b (k, n), and
// how the operands' tiles lie in shared memory.
//
// A thread owns kM x kN results: along m in groups of four neighbours, the groups of all threads
// interleaved, and so along n. A warp is 4 threads along m, 8 along n.
#pragma once

#include "cuda/device/async_copy.h"
#include "cuda/device/dtype.h"
#include "cuda/device/warp.h"

namespace fc::cuda {

// Which of its two indices is contiguous in memory.
enum class Major { kK, kMN };

constexpr int kGroup = 4;   // results of a thread that are neighbours
constexpr int kTileK = 16;  // products per turn of the main loop
constexpr int kStages = 3;  // turns that are copied ahead, and the one in use

// BLOCK_M x BLOCK_N results of a block, THREAD_M x THREAD_N of a thread. DEPTH: how many k of an
// operand that is contiguous along k a thread reads at once, and then holds. BLOCKS: that a
// multiprocessor shall hold, which bounds the registers.
template <int BLOCK_M, int BLOCK_N, int THREAD_M, int THREAD_N, int DEPTH, int BLOCKS>
struct Tile {
  static constexpr int kDepth = DEPTH;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  static constexpr int kBlocks = 1;  // its shared memory holds no second ring
#else
  static constexpr int kBlocks = BLOCKS;
#endif
  static constexpr int kBlockM = BLOCK_M, kBlockN = BLOCK_N;
  static constexpr int kM = THREAD_M, kN = THREAD_N;
  static constexpr int kThreadsM = BLOCK_M / THREAD_M, kThreadsN = BLOCK_N / THREAD_N;
  static constexpr int kThreads = kThreadsM * kThreadsN;
  static constexpr int kWarpsN = kThreadsN / 8;
  static_assert(kThreadsM % 4 == 0 && kThreadsN % 8 == 0, "whole warps of 4 x 8 threads");
  static_assert(THREAD_M % kGroup == 0 && THREAD_N % kGroup == 0, "whole groups");
};

// A thread's place among kThreadsM x kThreadsN.
template <class Tile>
struct Place {
  int m, n;

  FC_DEVICE Place() {
    const int lane = lane_of_thread(), warp = warp_of_thread();
    m = warp / Tile::kWarpsN * 4 + lane / 8;
    n = warp % Tile::kWarpsN * 8 + lane % 8;
  }
};

// The row of a tile that is result i of thread t, of `threads` along that side.
FC_DEVICE constexpr int row_of(int i, int t, int threads) {
  return i / kGroup * (kGroup * threads) + t * kGroup + i % kGroup;
}

// (rows, kTileK) with k contiguous, as it lies in global memory, so that 16 bytes are copied at
// once. A thread reads four k of each of its rows at a time. Rows are permuted so that neighbouring
// threads read neighbouring lines of shared memory, and a line has 16 bytes more, which keeps eight
// of them in different banks.
template <class T, int kRows, int kThreadsAlong>
struct KMajorTile {
  static constexpr int kPitch = kTileK + 16 / sizeof(T);
  static constexpr int kElements = kRows * kPitch;

  // where a row begins
  static FC_DEVICE constexpr int at(int row) {
    constexpr int kSpan = kGroup * kThreadsAlong;
    return (row / kSpan * kSpan + row % kGroup * kThreadsAlong + row % kSpan / kGroup) * kPitch;
  }
};

// (kTileK, rows) with rows contiguous, as it lies in global memory.
template <class T, int kRows, int kThreadsAlong>
struct MnMajorTile {
  static constexpr int kPitch = kRows;
  static constexpr int kElements = kTileK * kPitch;
};

template <class T, Major kMajor, int kRows, int kThreadsAlong>
using OperandTile = std::conditional_t<kMajor == Major::kK, KMajorTile<T, kRows, kThreadsAlong>,
                                       MnMajorTile<T, kRows, kThreadsAlong>>;

// What a thread reads of an operand's tile. Of kK: kCount k's from k on, of row i.
template <int kCount, class T, int kRows, int kThreadsAlong>
FC_DEVICE Vec<float, kCount> read_along_k(const T* tile, int k, int thread, int i) {
  using Layout = KMajorTile<T, kRows, kThreadsAlong>;
  return widen(load<kCount>(tile + Layout::at(row_of(i, thread, kThreadsAlong)) + k));
}
// Of kMN: the rows of i's group, at k.
template <class T, int kRows, int kThreadsAlong>
FC_DEVICE Vec<float, kGroup> read_group(const T* tile, int k, int thread, int i) {
  using Layout = MnMajorTile<T, kRows, kThreadsAlong>;
  return widen(load<kGroup>(tile + k * Layout::kPitch + row_of(i, thread, kThreadsAlong)));
}

}  // namespace fc::cuda
