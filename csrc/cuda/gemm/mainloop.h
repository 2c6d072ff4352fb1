// The main loop of every matrix product: global memory -> ring of tiles in shared memory ->
// registers.
//
//   acc[i][j] = sum over the block's k of a (m_i, k) * b (k, n_j)
//
// A loader is an operand: it knows where element (row, k) lies, and that it is 0 outside.
//   kMajor, kVec                  which index is contiguous; elements it copies at once along that
//   row(i), column(k)             all that a place in one index tells, worked out once
//   copy(to, row, column)         issues the copy of kVec elements
//   kFinishes, finishes()         whether it does anything to elements that have landed (never; not
//   finish(at, row, column)       this time), and that
#pragma once

#include "cuda/device/warp.h"
#include "cuda/gemm/tile.h"

namespace fc::cuda {

// Which pieces of an operand's tile this thread copies: the same in every turn.
template <class Loader, class T, int kRows, int kThreadsAlong, int kThreads>
struct Copier {
  using Layout = OperandTile<T, Loader::kMajor, kRows, kThreadsAlong>;
  static constexpr bool kAlongK = Loader::kMajor == Major::kK;
  static constexpr int kPieces = (kAlongK ? kTileK : kRows) / Loader::kVec;  // of a line
  static constexpr int kLines = kAlongK ? kRows : kTileK;
  static constexpr int kLinesAtOnce = kThreads / kPieces;
  static constexpr int kTurns = (kLines + kLinesAtOnce - 1) / kLinesAtOnce;
  static_assert(kThreads % kPieces == 0, "a thread keeps its place in the line");
  static_assert(!kAlongK || kRows % 32 == 0, "whole sets of permuted lines");

  typename Loader::Row rows[kAlongK ? kTurns : 1];

  static FC_DEVICE int piece() { return static_cast<int>(threadIdx.x) % kPieces * Loader::kVec; }
  static FC_DEVICE int line(int turn) {
    const int i = static_cast<int>(threadIdx.x) / kPieces + turn * kLinesAtOnce;
    // threads that write side by side in time get lines 16 apart: those lie in different banks
    return kAlongK ? i / 32 * 32 + i % 2 * 16 + i % 32 / 2 : i;
  }
  static FC_DEVICE bool works(int turn) {
    return kLines % kLinesAtOnce == 0 || line(turn) < kLines;
  }

  FC_DEVICE void prepare(const Loader& loader, int row0) {
    if constexpr (kAlongK) {
#pragma unroll
      for (int i = 0; i < kTurns; ++i) rows[i] = loader.row(row0 + line(i));
    } else {
      rows[0] = loader.row(row0 + piece());
    }
  }

  template <class Do>
  FC_DEVICE void each(T* tile, int k0, Do&& act) const {
    if constexpr (kAlongK) {
      const auto k = k0 + piece();
#pragma unroll
      for (int i = 0; i < kTurns; ++i) {
        if (works(i)) act(tile + Layout::at(line(i)) + piece(), rows[i], k);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kTurns; ++i) {
        if (works(i)) act(tile + line(i) * Layout::kPitch + piece(), rows[0], k0 + line(i));
      }
    }
  }

  FC_DEVICE void copy(const Loader& loader, T* tile, int k0) const {
    // the place in k is the same for every row: worked out once
    if constexpr (kAlongK) {
      const auto k = loader.column(k0 + piece());
      each(tile, k0, [&](T* to, const auto& row, int) { loader.copy(to, row, k); });
    } else {
      each(tile, k0,
           [&](T* to, const auto& row, int at) { loader.copy(to, row, loader.column(at)); });
    }
  }

  FC_DEVICE void finish(const Loader& loader, T* tile, int k0) const {
    if constexpr (Loader::kFinishes) {
      if (!loader.finishes()) return;
      each(tile, k0,
           [&](T* at, const auto& row, int k) { loader.finish(at, row, loader.column(k)); });
    }
  }
};

// Elements of shared memory that the ring needs.
template <class Tile, class LoaderA, class LoaderB, class T>
constexpr int kRingElements =
    kStages * (OperandTile<T, LoaderA::kMajor, Tile::kBlockM, Tile::kThreadsM>::kElements +
               OperandTile<T, LoaderB::kMajor, Tile::kBlockN, Tile::kThreadsN>::kElements);

// acc += a b for kDepth k. An operand that is contiguous along k comes with all of them at once and
// is held while the other one streams by: registers are the limit.
template <class Tile, Major kMajorA, Major kMajorB, class T>
FC_DEVICE void multiply(const T* tile_a, const T* tile_b, int k, const Place<Tile>& place,
                        float (&acc)[Tile::kM][Tile::kN]) {
  constexpr int kDepth = Tile::kDepth;
  const auto a_along_k = [&](int i) {
    return read_along_k<kDepth, T, Tile::kBlockM, Tile::kThreadsM>(tile_a, k, place.m, i);
  };
  const auto b_along_k = [&](int j) {
    return read_along_k<kDepth, T, Tile::kBlockN, Tile::kThreadsN>(tile_b, k, place.n, j);
  };
  const auto a_group = [&](int q, int i) {
    return read_group<T, Tile::kBlockM, Tile::kThreadsM>(tile_a, k + q, place.m, i);
  };
  const auto b_group = [&](int q, int j) {
    return read_group<T, Tile::kBlockN, Tile::kThreadsN>(tile_b, k + q, place.n, j);
  };
  if constexpr (kMajorA == Major::kK && kMajorB == Major::kK) {
    Vec<float, kDepth> a[Tile::kM];
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i) a[i] = a_along_k(i);
#pragma unroll
    for (int j = 0; j < Tile::kN; ++j) {
      const Vec<float, kDepth> b = b_along_k(j);
#pragma unroll
      for (int q = 0; q < kDepth; ++q) {
#pragma unroll
        for (int i = 0; i < Tile::kM; ++i) acc[i][j] = fmaf(a[i][q], b[q], acc[i][j]);
      }
    }
  } else if constexpr (kMajorA == Major::kK) {
    Vec<float, kDepth> a[Tile::kM];
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i) a[i] = a_along_k(i);
#pragma unroll
    for (int q = 0; q < kDepth; ++q) {
#pragma unroll
      for (int g = 0; g < Tile::kN; g += kGroup) {
        const Vec<float, kGroup> b = b_group(q, g);
#pragma unroll
        for (int j = 0; j < kGroup; ++j) {
#pragma unroll
          for (int i = 0; i < Tile::kM; ++i) {
            acc[i][g + j] = fmaf(a[i][q], b[j], acc[i][g + j]);
          }
        }
      }
    }
  } else if constexpr (kMajorB == Major::kK) {
    Vec<float, kDepth> b[Tile::kN];
#pragma unroll
    for (int j = 0; j < Tile::kN; ++j) b[j] = b_along_k(j);
#pragma unroll
    for (int q = 0; q < kDepth; ++q) {
#pragma unroll
      for (int g = 0; g < Tile::kM; g += kGroup) {
        const Vec<float, kGroup> a = a_group(q, g);
#pragma unroll
        for (int i = 0; i < kGroup; ++i) {
#pragma unroll
          for (int j = 0; j < Tile::kN; ++j) {
            acc[g + i][j] = fmaf(a[i], b[j][q], acc[g + i][j]);
          }
        }
      }
    }
  } else {
#pragma unroll
    for (int q = 0; q < kDepth; ++q) {
      Vec<float, kGroup> a[Tile::kM / kGroup];
#pragma unroll
      for (int g = 0; g < Tile::kM; g += kGroup) a[g / kGroup] = a_group(q, g);
#pragma unroll
      for (int g = 0; g < Tile::kN; g += kGroup) {
        const Vec<float, kGroup> b = b_group(q, g);
#pragma unroll
        for (int j = 0; j < kGroup; ++j) {
#pragma unroll
          for (int i = 0; i < Tile::kM; ++i) {
            acc[i][g + j] = fmaf(a[i / kGroup][i % kGroup], b[j], acc[i][g + j]);
          }
        }
      }
    }
  }
}

// k_begin .. k_end of the sum, for the tile whose first row is m0 and first column n0.
template <class Tile, class T, class LoaderA, class LoaderB>
FC_DEVICE void mainloop(const LoaderA& loader_a, const LoaderB& loader_b, int m0, int n0,
                        int k_begin, int k_end, T* ring, float (&acc)[Tile::kM][Tile::kN]) {
  using CopierA = Copier<LoaderA, T, Tile::kBlockM, Tile::kThreadsM, Tile::kThreads>;
  using CopierB = Copier<LoaderB, T, Tile::kBlockN, Tile::kThreadsN, Tile::kThreads>;
  constexpr int kElementsA = CopierA::Layout::kElements, kElementsB = CopierB::Layout::kElements;
  T* const ring_a = ring;                         // (kStages, tile of a)
  T* const ring_b = ring + kStages * kElementsA;  // (kStages, tile of b)

  CopierA copier_a;
  CopierB copier_b;
  copier_a.prepare(loader_a, m0);
  copier_b.prepare(loader_b, n0);
  const auto issue = [&](int turn) {
    const int k = k_begin + turn * kTileK, slot = turn % kStages;
    if (k < k_end) {
      copier_a.copy(loader_a, ring_a + slot * kElementsA, k);
      copier_b.copy(loader_b, ring_b + slot * kElementsB, k);
    }
    commit_copies();  // an empty group keeps the count
  };

#pragma unroll
  for (int i = 0; i < Tile::kM; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kN; ++j) acc[i][j] = 0;
  }
#pragma unroll
  for (int turn = 0; turn < kStages - 1; ++turn) issue(turn);

  const Place<Tile> place;
  const int turns = ceil_div(k_end - k_begin, kTileK);
  for (int turn = 0; turn < turns; ++turn) {
    const int slot = turn % kStages;
    T* const tile_a = ring_a + slot * kElementsA;
    T* const tile_b = ring_b + slot * kElementsB;
    wait_copies<kStages - 2>();
    // each thread treats what it copied itself: it alone sees that without a barrier
    copier_a.finish(loader_a, tile_a, k_begin + turn * kTileK);
    copier_b.finish(loader_b, tile_b, k_begin + turn * kTileK);
    __syncthreads();
    // into the slot that everybody has read: the barrier says so
    issue(turn + kStages - 1);

#pragma unroll 1
    for (int k = 0; k < kTileK; k += Tile::kDepth) {
      multiply<Tile, LoaderA::kMajor, LoaderB::kMajor>(tile_a, tile_b, k, place, acc);
    }
  }
  wait_copies<0>();
  __syncthreads();  // the ring is free for the epilogue
}

}  // namespace fc::cuda
