// What happens to a patch of results on the way to memory: the epilogue, and the per-channel sums.
#pragma once

#include "cuda/depthwise/block_sums.h"
#include "cuda/depthwise/image.h"
#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

// Epilogue<T> as the kernel is given it.
template <class T>
struct OutputMap {
  const T *scale, *shift, *residual;
  Act act;
  double* partial;  // (blocks, 2, C) or null
};

template <int N, class T, int kCount>
FC_DEVICE void store_patch(T* y, const Image& image, const Patch& patch,
                           const Vec<float, N> (&v)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int column = patch.column + i;
    if (column >= 0 && column < image.out_w) store(y + int64_t{column} * image.c, narrow<T>(v[i]));
  }
}

// Patches of the forward direction begin inside of the image. y_at: of the row's channel.
template <int N, class T, int kCount>
FC_DEVICE void finish(const OutputMap<T>& map, const Image& image, const Tiles& tiles,
                      const Patch& patch, int64_t y_at, float* shared, BlockSums& sums,
                      Vec<float, N> (&v)[kCount]) {
  const int count = patch.inside ? std::min(kCount, image.out_w - patch.column) : 0;
  if (patch.inside) {
    const Affine<N> affine = load_affine<N>(map.scale, map.shift, patch.channel);
#pragma unroll
    for (int i = 0; i < kCount; ++i) v[i] = affine(v[i]);
  }
  if (map.partial) sums.add(tiles, count, v, shared);
  if (!patch.inside) return;
  if (map.residual) {
    const T* from = map.residual + y_at + int64_t{patch.column} * image.c;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i >= count) continue;
      const Vec<float, N> residual = widen(load<N>(from + int64_t{i} * image.c));
#pragma unroll
      for (int c = 0; c < N; ++c) v[i][c] += residual[c];
    }
  }
  activate(map.act, v);
}

}  // namespace fc::cuda
