// The gradient by w of any window, stride and dilation: the formula of fixed_wgrad.h. A thread owns
// one tap of N channels and goes through pixels one by one.
#pragma once

#include "cuda/depthwise/any_window.h"
#include "cuda/depthwise/load_pixels.h"
#include "cuda/depthwise/strips.h"
#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

struct AnyWgradTiles {
  int width;  // results of a block
  int64_t patches, results;
  Strips strips;
  dim3 grid;
  Divider by_owners, by_columns, by_rows, by_vectors, by_s;
};

template <class T, int N, bool kPrologue>
__global__ void __launch_bounds__(kBlock)
    depthwise_any_wgrad_kernel(Image image, AnyWgradTiles tiles, const T* x, const T* gy,
                               InputMap<T> input, float* partial) {
  int strip, owner, tap, vector, r, s;
  tiles.by_owners.split(static_cast<int>(threadIdx.x), strip, owner);
  const int64_t result = int64_t{blockIdx.y} * tiles.width + owner * N;
  Vec<float, N> acc = Vec<float, N>::all(0.f);
  if (strip < tiles.strips.strips && result < tiles.results) {
    tiles.by_vectors.split(static_cast<int>(result / N), tap, vector);
    tiles.by_s.split(tap, r, s);
    const int channel = vector * N;
    Affine<N> affine;
    if constexpr (kPrologue) affine = load_affine<N>(input.scale, input.shift, channel);
    const int64_t first = blockIdx.x * tiles.strips.each;
    const int64_t last = std::min(first + tiles.strips.each, tiles.patches);
    for (int64_t at = first + strip; at < last; at += tiles.strips.strips) {
      int rest, q, n, p;
      tiles.by_columns.split(static_cast<int>(at), rest, q);
      tiles.by_rows.split(rest, n, p);
      const int row = input_place<false>(p, r, image.in_h, image.pad_top, image.stride_h,
                                         image.dilation_h, image.by_stride_h);
      const int column = input_place<false>(q, s, image.in_w, image.pad_left, image.stride_w,
                                            image.dilation_w, image.by_stride_w);
      if (row < 0 || column < 0) continue;
      const Vec<float, N> g = widen(load<N>(gy + at * image.c + channel));
      Vec<float, N> in[1];
      load_pixels<kPrologue>(x + (int64_t{n} * image.in_h + row) * image.in_w * image.c + channel,
                             column, image.in_w, image.c, affine, input.act, in);
#pragma unroll
      for (int c = 0; c < N; ++c) acc[c] += g[c] * in[0][c];
    }
  }
  if (strip < tiles.strips.strips) {
    store(shared_memory<float>() + strip * tiles.width + owner * N, acc);
  }
  const int64_t first = int64_t{blockIdx.y} * tiles.width;
  sum_strips(tiles.strips.strips, tiles.width, partial + int64_t{blockIdx.x} * tiles.results,
             [&](int j) -> int64_t { return first + j < tiles.results ? first + j : -1; });
}

struct AnyWgrad {
  template <int N>
  static AnyWgradTiles tiles(const Conv2dProblem& p) {
    constexpr int64_t kMostOwners = 64;
    const int64_t results = p.r * p.s * p.c, vectors = results / N, patches = p.n * p.p * p.q;
    check_count(results);
    const int owners = static_cast<int>(std::min(vectors, kMostOwners));
    const int64_t blocks = ceil_div(vectors, owners);
    const Strips strips(kBlock / owners, patches, blocks, 32);
    const dim3 grid(static_cast<unsigned>(strips.splits), static_cast<unsigned>(blocks));
    return {owners * N,      patches,      results,      strips,           grid,
            Divider(owners), Divider(p.q), Divider(p.p), Divider(p.c / N), Divider(p.s)};
  }
  template <int N>
  static size_t shared_bytes(const AnyWgradTiles& tiles) {
    return tiles.strips.strips * tiles.width * sizeof(float);
  }
  template <int N, bool kPrologue, class T>
  static auto kernel(const T*) {
    return depthwise_any_wgrad_kernel<T, N, kPrologue>;
  }
};

}  // namespace fc::cuda
