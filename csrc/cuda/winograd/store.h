// y = A' M A, and what the epilogue does to it.
//
// A frequency's results lie with one half warp, an output wants all of them: they go through shared
// memory, a quarter of the tiles at a time, (36, 8 tiles, 32 columns), in the place of V. Then a
// warp has a tile and a thread one column: loads and stores are whole lines where the columns are.
#pragma once

#include "cuda/gemm/output.h"
#include "cuda/winograd/image.h"
#include "cuda/winograd/multiply.h"

namespace fc::cuda::winograd {

constexpr int kPieces = 4, kPieceTiles = kTiles / kPieces;
constexpr int kPieceFrequency = kPieceTiles * kLine;

// Tile i (0, 1) of those four neighbours that begin at m is in piece m / 16 * 2 + 0 or 1, there as
// number m % 16 / 2 + i.
__host__ __device__ constexpr int tile_of_piece(int piece, int number) {
  return piece / 2 * 16 + number / 2 * kGroup + piece % 2 * 2 + number % 2;
}
// Columns are permuted by the pair of tiles, so that threads which store four columns each, of two
// pairs or of all, meet all banks.
__host__ __device__ constexpr int piece_at(int number, int column) {
  return number * kLine + (column ^ (number / 2 % 2 * 16 + number / 4 * 8));
}

// The piece that is first in the registers; afterwards the next one is.
FC_DEVICE void stage_piece(Accumulators& acc, const Place& place, int piece, float* staging) {
  const auto put = [&](int frequency, int number, int column, const float* from) {
    Vec<float, kGroup> v;
#pragma unroll
    for (int i = 0; i < kGroup; ++i) v[i] = from[i];
    store(staging + frequency * kPieceFrequency + piece_at(number, column), v);
  };
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      put(place.first + q, place.m / 2 + i, place.n, acc.own[q][i]);
      put(place.first + q, place.m / 2 + i, place.n + kLine / 2, acc.own[q][i] + kGroup);
    }
    if (place.rest_m / 16 == piece / 2) {
      put(place.rest(), place.rest_m % 16 / 2 + i, place.rest_column(), acc.rest[i]);
    }
  }
  // registers have no index
#pragma unroll
  for (int i = 0; i < Accumulators::kSide - 2; ++i) {
#pragma unroll
    for (int j = 0; j < Accumulators::kSide; ++j) {
#pragma unroll
      for (int q = 0; q < 2; ++q) acc.own[q][i][j] = acc.own[q][i + 2][j];
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      const float before = acc.rest[i][j];
      acc.rest[i][j] = acc.rest[i + 2][j];
      acc.rest[i + 2][j] = before;
    }
  }
}

// Sums of a thread's column. A tile is summed around its first output, in float32: what is squared
// is the spread, so rounding does not drown the variance of channels with a large mean.
struct ColumnSums {
  double total = 0, squares = 0;

  FC_DEVICE void add(const Vec<float, kOutputs> (&t)[kOutputs], int rows, int columns) {
    const float t0 = t[0][0];
    float sum = 0, spread = 0;
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) {
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) {
        const float d = i < rows && j < columns ? t[i][j] - t0 : 0.f;
        sum += d;
        spread += d * d;
      }
    }
    const double moved = static_cast<double>(min(rows, kOutputs) * min(columns, kOutputs)) * t0;
    total += moved + sum;
    squares += spread + t0 * (2.0 * sum + moved);
  }
};

template <class T>
FC_DEVICE void store_output(Accumulators& acc, const Place& place, const Image& image,
                            const StoredThrough<T>& through, T* y, int tile_block, int column_block,
                            double* partial, float* shared) {
  float* const staging = shared;  // (36, 8, 32)
  const int number = warp_of_thread(), lane = lane_of_thread();
  const int k = column_block * kColumns + lane;
  const int64_t line = int64_t{image.out_w} * image.out_c;
  const bool column_inside = k < image.out_c;
  const float scale = column_inside && through.scale ? widen(through.scale[k]) : 1.f;
  const float shift = column_inside && through.shift ? widen(through.shift[k]) : 0.f;
  ColumnSums sums;
#pragma unroll 1
  for (int piece = 0; piece < kPieces; ++piece) {
    __syncthreads();  // staging, or V, has been read
    stage_piece(acc, place, piece, staging);
    __syncthreads();
    const TilePlace tile(image, tile_block * kTiles + tile_of_piece(piece, number));
    if (!tile.inside || !column_inside) continue;

    float half[kOutputs][kPoints];
#pragma unroll
    for (int j = 0; j < kPoints; ++j) {
      float m[kPoints], v[kOutputs];
#pragma unroll
      for (int i = 0; i < kPoints; ++i) {
        m[i] = staging[(i * kPoints + j) * kPieceFrequency + piece_at(number, lane)];
      }
      transform_output(m, v);
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) half[i][j] = v[i];
    }
    Vec<float, kOutputs> t[kOutputs];
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) {
      float v[kOutputs];
      transform_output(half[i], v);
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) t[i][j] = v[j] * scale + shift;
    }
    const int rows = image.out_h - tile.h, columns = image.out_w - tile.w;
    if (partial) sums.add(t, rows, columns);
    const int64_t first =
        (int64_t{tile.n} * image.out_h + tile.h) * line + int64_t{tile.w} * image.out_c + k;
    const auto each = [&](auto&& act) {
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) {
#pragma unroll
        for (int j = 0; j < kOutputs; ++j) {
          if (i < rows && j < columns) act(t[i][j], first + i * line + int64_t{j} * image.out_c);
        }
      }
    };
    if (through.residual) {
      each([&](float& v, int64_t at) { v += widen(through.residual[at]); });
    }
    activate(through.act, t);
    each([&](float& v, int64_t at) { y[at] = narrow<T>(v); });
  }
  if (!partial) return;

  double* const scratch = reinterpret_cast<double*>(shared);  // (2, kWarps, kColumns)
  __syncthreads();
  scratch[number * kColumns + lane] = sums.total;
  scratch[(kWarps + number) * kColumns + lane] = sums.squares;
  __syncthreads();
  if (number >= 2 || !column_inside) return;
  double sum = 0;
  for (int i = 0; i < kWarps; ++i) sum += scratch[(number * kWarps + i) * kColumns + lane];
  partial[(int64_t{tile_block} * 2 + number) * image.out_c + k] = sum;
}

}  // namespace fc::cuda::winograd
