// From the accumulators to memory, by way of shared memory: so that a warp stores whole lines, four
// neighbouring columns a thread, and every thread meets few columns, whose sums it keeps.
#pragma once

#include "cuda/device/warp.h"
#include "cuda/gemm/output.h"
#include "cuda/gemm/tile.h"

namespace fc::cuda {

template <class Tile>
struct Staging {
  static constexpr int kRows = kGroup * Tile::kThreadsM;  // a group of every thread
  static constexpr int kPitch = Tile::kBlockN + kGroup;   // floats; keeps rows in different banks
  static constexpr int kElements = kRows * kPitch;
  static constexpr int kPieces = Tile::kBlockN / kGroup;        // of a row
  static constexpr int kRowsAtOnce = Tile::kThreads / kPieces;  // of the block's threads
  static_assert(kRows % kRowsAtOnce == 0, "no thread idles");
};

// One group of rows goes out: rows m0 + 0 .. kRows-1 of the product, columns n0 and on.
template <int kVec, class Tile, class T>
FC_DEVICE void store_rows(const float* staging, const Output<T>& out, int m0, int n0,
                          double (&sums)[2][kGroup]) {
  using S = Staging<Tile>;
  const int column = static_cast<int>(threadIdx.x) % S::kPieces * kGroup;
  const int n = n0 + column;
#pragma unroll 1
  for (int r = static_cast<int>(threadIdx.x) / S::kPieces; r < S::kRows; r += S::kRowsAtOnce) {
    const int m = m0 + r;
    if (m >= out.place.rows) break;
    const int64_t row = out.place.offset(m);
#pragma unroll
    for (int i = 0; i < kGroup; i += kVec) {
      if (n + i >= out.columns) break;
      Vec<float, kVec> v = load<kVec>(staging + r * S::kPitch + column + i);
      out.through.scale_and_shift(v, n + i);
      if (out.sums) {
#pragma unroll
        for (int j = 0; j < kVec; ++j) {
          const double t = v[j];
          sums[0][i + j] += t;
          sums[1][i + j] += t * t;
        }
      }
      out.through.finish(v, out.base, row + n + i);
    }
  }
}

// The sums of the tile's columns: threads of one column add up in the order of their rows.
template <class Tile, class T>
FC_DEVICE void store_sums(double* scratch, const Output<T>& out, int row_tile, int n0,
                          const double (&sums)[2][kGroup]) {
  using S = Staging<Tile>;  // scratch: (2, kRowsAtOnce, kBlockN)
  const int column = static_cast<int>(threadIdx.x) % S::kPieces * kGroup;
  const int row = static_cast<int>(threadIdx.x) / S::kPieces;
#pragma unroll
  for (int q = 0; q < 2; ++q) {
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
      scratch[(q * S::kRowsAtOnce + row) * Tile::kBlockN + column + i] = sums[q][i];
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * Tile::kBlockN; i += Tile::kThreads) {
    const int q = i / Tile::kBlockN, c = i % Tile::kBlockN;
    if (n0 + c >= out.columns) continue;
    double total = 0;
    for (int r = 0; r < S::kRowsAtOnce; ++r) {
      total += scratch[(q * S::kRowsAtOnce + r) * Tile::kBlockN + c];
    }
    out.sums[(int64_t{row_tile} * 2 + q) * out.pitch_sums + n0 + c] = total;
  }
}

// Bytes of shared memory that the two need, the ring's or their own.
template <class Tile>
constexpr int kStagingBytes = Staging<Tile>::kElements * sizeof(float) >
                                      2 * Staging<Tile>::kRowsAtOnce* Tile::kBlockN * sizeof(double)
                                  ? Staging<Tile>::kElements * sizeof(float)
                                  : 2 * Staging<Tile>::kRowsAtOnce * Tile::kBlockN * sizeof(double);

template <class Tile, class T>
FC_DEVICE void store_tile(const float (&acc)[Tile::kM][Tile::kN], void* shared,
                          const Output<T>& out, int row_tile, int n0) {
  using S = Staging<Tile>;
  float* const staging = static_cast<float*>(shared);  // (kRows, kPitch)
  const int m0 = row_tile * Tile::kBlockM;
  const Place<Tile> place;
  double sums[2][kGroup] = {};
#pragma unroll
  for (int group = 0; group < Tile::kM; group += kGroup) {
#pragma unroll
    for (int i = 0; i < kGroup; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kN; j += kGroup) {
        Vec<float, kGroup> v;
#pragma unroll
        for (int q = 0; q < kGroup; ++q) v[q] = acc[group + i][j + q];
        store(staging + (place.m * kGroup + i) * S::kPitch + row_of(j, place.n, Tile::kThreadsN),
              v);
      }
    }
    __syncthreads();
    const int first = m0 + group * Tile::kThreadsM;
    if (out.vectors) {
      store_rows<kGroup, Tile>(staging, out, first, n0, sums);
    } else {
      store_rows<1, Tile>(staging, out, first, n0, sums);
    }
    __syncthreads();
  }
  if (out.sums) store_sums<Tile>(static_cast<double*>(shared), out, row_tile, n0, sums);
}

}  // namespace fc::cuda
