// The gradient by w with few channels per group, 3x3, stride kStep; k and c are of one group:
//
//   gw[k,r,s,c] = sum_{n,p,q} gy[n,p,q,k] * prologue(x)[n, p*step + r - pad, q*step + s - pad, c]
//
// A thread owns four k, four c and one row r of the window, 48 sums in registers, and goes through
// patches of kColumns pixels: kColumns vectors of gy and the row of x that they meet serve
// 48 * kColumns products. Threads of neighbouring k read neighbouring c, so that a warp reads whole
// sectors of both; those of the other r read the same gy, and rows of x that L1 still has.
// Not measured on a GPU.
//
// Error bound: |gw - gw64| <= c * sqrt(N*P*Q) * eps * sum |x gy| with c = 1.
#pragma once

#include "cuda/depthwise/image.h"
#include "cuda/depthwise/load_pixels.h"
#include "cuda/grouped/wgrad_tiles.h"

namespace fc::cuda {

template <int kStride>
struct GroupedWgrad {
  static constexpr int kStep = kStride, kSize = GroupedWgradTiles::kSize;
  static constexpr int kColumns = 7;  // maps of 7, 14, 28, 56 pixels leave nobody idle
  static constexpr int kInputs = (kColumns - 1) * kStep + kSize;
  static constexpr int kInputsAtOnce = 3;  // more do not fit beside the gradients and sums
  using Four = Vec<float, kChannels>;

  // acc[k] += g[k] * in, of one tap
  static FC_DEVICE void add_product(const Four& g, const Four& in, Four (&acc)[kChannels]) {
#pragma unroll
    for (int k = 0; k < kChannels; ++k) {
#pragma unroll
      for (int c = 0; c < kChannels; ++c) acc[k][c] += g[k] * in[c];
    }
  }

  // acc[s][k] += products of inputs kFirst and following of a row with the gradients of a patch
  template <int kFirst, class LoadInputs>
  static FC_DEVICE void add_patch(LoadInputs load_inputs, const Four (&g)[kColumns],
                                  Four (&acc)[kSize][kChannels]) {
    constexpr int kCount = std::min(kInputsAtOnce, kInputs - kFirst);
    Four in[kCount];
    load_inputs(kFirst, in);
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
#pragma unroll
      for (int s = 0; s < kSize; ++s) {
        const int j = i * kStep + s - kFirst;
        if (j >= 0 && j < kCount) add_product(g[i], in[j], acc[s]);
      }
    }
    if constexpr (kFirst + kCount < kInputs) add_patch<kFirst + kCount>(load_inputs, g, acc);
  }
};

// partial (splits, K, 3, 3, C/groups)
template <class T, class Window, bool kPrologue>
__global__ void __launch_bounds__(GroupedWgradTiles::kThreads, 2)
    grouped_wgrad_kernel(Image image, GroupedWgradTiles tiles, const T* x, const T* gy,
                         InputMap<T> input, float* partial) {
  constexpr int N = kChannels, kSize = Window::kSize, kColumns = Window::kColumns;
  const GroupedOwner owner = tiles.owner();
  Vec<float, N> acc[kSize][N];
#pragma unroll
  for (int s = 0; s < kSize; ++s) {
#pragma unroll
    for (int k = 0; k < N; ++k) acc[s][k] = Vec<float, N>::all(0.f);
  }
  if (owner.there) {
    const int64_t first = blockIdx.x * tiles.strips.each;
    const int64_t last = std::min(first + tiles.strips.each, tiles.patches);
#pragma unroll 1
    for (int64_t at = first + owner.strip; at < last; at += tiles.strips.strips) {
      int rest, column, n, p;
      tiles.by_columns.split(static_cast<int>(at), rest, column);
      tiles.by_rows.split(rest, n, p);
      const int row = p * Window::kStep - image.pad_top + owner.r;
      if (row < 0 || row >= image.in_h) continue;
      const int q = column * kColumns;
      const T* gradients =
          gy + ((int64_t{n} * image.out_h + p) * image.out_w + q) * tiles.k + owner.k;
      const T* pixels = x + (int64_t{n} * image.in_h + row) * image.in_w * image.c + owner.c;
      const auto load_inputs = [&](int from, auto& in) {
        // again and again: no registers are left to keep it
        Affine<N> affine;
        if constexpr (kPrologue) affine = load_affine<N>(input.scale, input.shift, owner.c);
        load_pixels<kPrologue>(pixels, q * Window::kStep - image.pad_left + from, image.in_w,
                               image.c, affine, input.act, in);
      };
      const int count = image.out_w - q;
      if (count >= kColumns) {
        Vec<float, N> g[kColumns];
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          g[i] = widen(load<N>(gradients + int64_t{i} * tiles.k));
        }
        Window::template add_patch<0>(load_inputs, g, acc);
      } else {
        // pixel by pixel, in the same order: what is missing may not be multiplied, not even by 0,
        // since x may be infinite
#pragma unroll 1
        for (int i = 0; i < count; ++i) {
          const Vec<float, N> g = widen(load<N>(gradients + int64_t{i} * tiles.k));
          Vec<float, N> in[kSize];
          load_inputs(i * Window::kStep, in);
#pragma unroll
          for (int s = 0; s < kSize; ++s) Window::add_product(g, in[s], acc[s]);
        }
      }
    }
  }

  // a block's results are one piece of gw, in shared memory once per strip
  float* shared = shared_memory<float>();
  if (owner.there) {
#pragma unroll
    for (int s = 0; s < kSize; ++s) {
#pragma unroll
      for (int k = 0; k < N; ++k) store(shared + tiles.place(owner, k, s), acc[s][k]);
    }
  }
  __syncthreads();
  const int count = tiles.block_results() / N;
  float* to = partial + blockIdx.x * tiles.results() + tiles.first_result();
  for (int j = static_cast<int>(threadIdx.x); j < count; j += static_cast<int>(blockDim.x)) {
    Vec<float, N> sum = load<N>(shared + j * N);
    for (int i = 1; i < tiles.strips.strips; ++i) {
      const Vec<float, N> strip = load<N>(shared + i * tiles.strip_results() + j * N);
#pragma unroll
      for (int c = 0; c < N; ++c) sum[c] += strip[c];
    }
    store(to + j * N, sum);
  }
}

}  // namespace fc::cuda
