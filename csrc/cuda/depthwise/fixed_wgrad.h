// The gradient by w of kSize x kSize windows, dilation 1, stride kStep:
//
//   gw[c,r,s] = sum_{n,p,q} gy[n,p,q,c] * prologue(x)[n, p*step + r - pad_top, q*step + s -
//   pad_left, c]
//
// A thread owns N channels and one row r of the window, kSize sums of each in registers, and goes
// through patches of kColumns pixels: kColumns vectors of gy and the row of x that they meet serve
// kColumns * kSize products. The threads of the other r read the same gy, and rows of x that L1
// still has.
//
// Error bound: |gw - gw64| <= c * sqrt(N*P*Q) * eps * sum |x gy| with c = 1.
#pragma once

#include "cuda/depthwise/image.h"
#include "cuda/depthwise/load_pixels.h"
#include "cuda/depthwise/strips.h"
#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

struct FixedWgradTiles {
  int width;  // channels of a block
  int64_t patches;
  Strips strips;
  dim3 grid;
  Divider by_vectors, by_width, by_groups, by_rows;
};

template <class T, int N, class Window, bool kPrologue>
__global__ void __launch_bounds__(kBlock, 2)
    depthwise_wgrad_kernel(Image image, FixedWgradTiles tiles, const T* x, const T* gy,
                           InputMap<T> input, float* partial) {
  constexpr int kSize = Window::kSize, kStep = Window::kStep, kColumns = Window::kColumns;
  // thread = (strip, r, vector)
  int vector, r, strip;
  tiles.by_vectors.split(static_cast<int>(threadIdx.x), strip, vector);
  r = strip % kSize;
  strip /= kSize;
  const int c0 = static_cast<int>(blockIdx.y) * tiles.width, channel = c0 + vector * N;

  Vec<float, N> acc[kSize];
#pragma unroll
  for (int s = 0; s < kSize; ++s) acc[s] = Vec<float, N>::all(0.f);
  if (strip < tiles.strips.strips && channel < image.c) {
    Affine<N> affine;
    if constexpr (kPrologue) affine = load_affine<N>(input.scale, input.shift, channel);
    const int64_t first = blockIdx.x * tiles.strips.each;
    const int64_t last = std::min(first + tiles.strips.each, tiles.patches);
#pragma unroll 1
    for (int64_t at = first + strip; at < last; at += tiles.strips.strips) {
      int rest, group, n, p;
      tiles.by_groups.split(static_cast<int>(at), rest, group);
      tiles.by_rows.split(rest, n, p);
      const int row = p * kStep - image.pad_top + r;
      if (row < 0 || row >= image.in_h) continue;
      const int q = group * kColumns, count = std::min(kColumns, image.out_w - q);
      const T* gradients =
          gy + ((int64_t{n} * image.out_h + p) * image.out_w + q) * image.c + channel;
      Vec<float, N> g[kColumns];
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        g[i] =
            i < count ? widen(load<N>(gradients + int64_t{i} * image.c)) : Vec<float, N>::all(0.f);
      }
      const T* pixels = x + (int64_t{n} * image.in_h + row) * image.in_w * image.c + channel;
      const auto load_row = [&](int j, auto& in) {
        load_pixels<kPrologue>(pixels, q * kStep - image.pad_left + j, image.in_w, image.c, affine,
                               input.act, in);
      };
      Window::template add_products<0>(load_row, g, count, acc);
    }
  }

  const int count = kSize * kSize * tiles.width;
  if (strip < tiles.strips.strips) {
    float* mine = shared_memory<float>() + strip * count + r * kSize * tiles.width + vector * N;
#pragma unroll
    for (int s = 0; s < kSize; ++s) store(mine + s * tiles.width, acc[s]);
  }
  sum_strips(tiles.strips.strips, count, partial + int64_t{blockIdx.x} * kSize * kSize * image.c,
             [&](int j) -> int64_t {
               int tap, c;
               tiles.by_width.split(j, tap, c);
               return c0 + c < image.c ? int64_t{tap} * image.c + c0 + c : -1;
             });
}

template <int kWindow, int kStride>
struct FixedWgrad {
  static constexpr int kSize = kWindow, kStep = kStride;
  static constexpr int kColumns = 4;
  static constexpr int kInputs = (kColumns - 1) * kStep + kSize;
  // inputs in registers at once; more do not fit beside the weights and sums
  static constexpr int kInputsAtOnce = kInputs > 6 ? ceil_div(kInputs, 4) : kInputs;

  template <int N>
  static FixedWgradTiles tiles(const Conv2dProblem& p) {
    const int vectors = vectors_of_block(p.c, N);
    const int64_t groups = ceil_div(p.q, kColumns), patches = p.n * p.p * groups;
    const int64_t blocks = ceil_div(p.c, vectors * N);
    const Strips strips(kBlock / (vectors * kSize), patches, blocks, 8);
    const dim3 grid(static_cast<unsigned>(strips.splits), static_cast<unsigned>(blocks));
    return {vectors * N,          patches,         strips,      grid, Divider(vectors),
            Divider(vectors * N), Divider(groups), Divider(p.p)};
  }
  template <int N>
  static size_t shared_bytes(const FixedWgradTiles& tiles) {
    return tiles.strips.strips * kSize * kSize * tiles.width * sizeof(float);
  }
  template <int N, bool kPrologue, class T>
  static auto kernel(const T*) {
    return depthwise_wgrad_kernel<T, N, FixedWgrad, kPrologue>;
  }

  // Inputs kFirst and following of a row with the gradients of the first `count` pixels. Others
  // are left out, rather than 0: x may be infinite.
  template <int kFirst, int N, class LoadRow>
  static FC_DEVICE void add_products(LoadRow load_row, const Vec<float, N> (&g)[kColumns],
                                     int count, Vec<float, N> (&acc)[kSize]) {
    constexpr int kCount = std::min(kInputsAtOnce, kInputs - kFirst);
    Vec<float, N> in[kCount];
    load_row(kFirst, in);
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      if (i >= count) continue;
#pragma unroll
      for (int s = 0; s < kSize; ++s) {
        const int j = i * kStep + s - kFirst;
        if (j < 0 || j >= kCount) continue;
#pragma unroll
        for (int c = 0; c < N; ++c) acc[s][c] += g[i][c] * in[j][c];
      }
    }
    if constexpr (kFirst + kCount < kInputs) add_products<kFirst + kCount>(load_row, g, count, acc);
  }
};

}  // namespace fc::cuda
