// Convolution with few channels per group, forward and gradient by x, NHWC, weights
// (K,3,3,C/groups); k and c are of one group:
//
//   y[n,p,q,k]  = epilogue(sum_{r,s,c} prologue(x)[n, p*stride + r - pad, .., c] * w[k,r,s,c])
//   gx[n,h,w,c] = sum of gy[n,p,q,k] * w[k,r,s,c] over the k, p, q, r, s with
//                 h = p*stride + r - pad, and so for w
//
// Both are one kernel: a thread owns four channels of the output and a patch of neighbouring
// pixels (depthwise/tiles.h), and the window (window.h) knows which inputs they read. A matrix
// product has no more columns than a group has channels, so tiles of implicit GEMM stay empty here.
// Source: ResNeXt, Xie et al. 2017, figure 3 (c). Not measured on a GPU.
//
// Error bound: |y - y64| <= c * sqrt(9*C/groups) * eps * sum |x w| with c = 1 (a sum in order).
#pragma once

#include "cuda/depthwise/load_pixels.h"
#include "cuda/depthwise/output_map.h"
#include "cuda/gemm/sum_rows.h"
#include "cuda/grouped/window.h"

namespace fc::cuda {

template <class T, class Window, bool kPrologue>
__global__ void __launch_bounds__(kBlock, 2)
    grouped_image_kernel(Image image, InputGroups groups, Tiles tiles, const T* x, const T* w, T* y,
                         InputMap<T> input, OutputMap<T> output, size_t window_bytes) {
  constexpr int N = kChannels;
  Window::prepare(groups, tiles, w);
  // the thread's outputs are the four_of_group-th of their group; it begins with the inputs after
  int group, four_of_group;
  groups.by_out_fours.split(tiles.channel<N>() / N, group, four_of_group);
  const int first_four = four_of_group % groups.fours;
  const int group_begin = group * groups.fours * N;
  const auto load_row = [&](const Patch& patch, int row, int column, int four, auto& in) {
    const int channel = group_begin + four * N;
    Affine<N> affine;
    if constexpr (kPrologue) affine = load_affine<N>(input.scale, input.shift, channel);
    const T* from =
        x + (int64_t{patch.n} * image.in_h + row) * image.in_w * groups.channels + channel;
    // with a prologue three at a time: all of them and its code do not fit in registers
    constexpr int kAll = Window::kInputs, kAtOnce = kPrologue ? 3 : kAll;
    static_assert(kAll % kAtOnce == 0, "equal parts");
#pragma unroll
    for (int j = 0; j < kAll; j += kAtOnce) {
      Vec<float, N> part[kAtOnce];
      load_pixels<kPrologue>(from, column + j, image.in_w, groups.channels, affine, input.act,
                             part);
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) in[j + i] = part[i];
    }
  };

  BlockSums sums;
  float* shared = shared_memory<float>() + window_bytes / sizeof(float);
#pragma unroll 1
  for (int step = 0; step < tiles.steps; ++step) {
    const Patch patch = tiles.patch<N, Window::kColumns>(step);
    Vec<float, N> acc[Window::kColumns];
#pragma unroll
    for (int i = 0; i < Window::kColumns; ++i) acc[i] = Vec<float, N>::all(0.f);
    if (patch.inside) {
      Window::template accumulate<T>(image, groups, tiles, patch, first_four, load_row, acc);
    }
    const int64_t y_at =
        (int64_t{patch.n} * image.out_h + patch.row) * image.out_w * image.c + patch.channel;
    if constexpr (!Window::kBackward) finish(output, image, tiles, patch, y_at, shared, sums, acc);
    if (patch.inside) store_patch(y + y_at, image, patch, acc);
  }
  if constexpr (!Window::kBackward) {
    if (output.partial) sums.template store_sums<N>(tiles, output.partial);
  }
}

// A block copies its weights first, so not too many blocks.
template <class Window>
Tiles grouped_tiles(const Conv2dProblem& p) {
  constexpr bool kBackward = Window::kBackward;
  return Tiles(p.n, kBackward ? p.h : p.p, kBackward ? p.w : p.q, kBackward ? p.c : p.k, kChannels,
               Window::vectors(p), Window::kColumns, Window::Taps::shift(p), kSummingBlocks);
}

// Calls f with the window that fits.
template <bool kBackward, class F>
void with_grouped_window(const Conv2dProblem& p, F f) {
  if (p.stride_h == 1) return f(GroupedWindow<1, kBackward>{});
  f(GroupedWindow<2, kBackward>{});
}

// Partial sums, (blocks, 2, K), and the scratch memory of their sum.
struct GroupedSums {
  int64_t blocks, bytes;
  double* partial;
  void* scratch;

  GroupedSums(const Conv2dProblem& p, const Tiles& tiles, void* base) {
    blocks = tiles.grid(kChannels).x;
    const int64_t size = blocks * 2 * p.k * static_cast<int64_t>(sizeof(double));
    partial = static_cast<double*>(base);
    scratch = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(base) + size);
    bytes = size + sum_rows_workspace(blocks, 2 * p.k);
  }
};

// Nothing may be empty.
template <class Window, class T>
void launch_grouped(const Conv2dProblem& p, const Tiles& tiles, const T* x, const T* w, T* y,
                    const Prologue<T>& prologue, const OutputMap<T>& output, Stream stream) {
  const InputGroups groups(p, Window::kBackward);
  Image image(p, Window::kBackward);
  image.c = tiles.channels;
  const size_t window_bytes = Window::template shared_bytes<T>(groups, tiles);
  const size_t shared = window_bytes + (output.partial ? kBlockSumsBytes<kChannels> : 0);
  const auto run = [&](auto kernel) {
    launch(kernel, tiles.grid(kChannels), kBlock, shared, stream, image, groups, tiles, x, w, y,
           InputMap<T>(prologue), output, window_bytes);
  };
  if constexpr (!Window::kBackward) {
    if (prologue.scale) return run(grouped_image_kernel<T, Window, true>);
  }
  run(grouped_image_kernel<T, Window, false>);
}

}  // namespace fc::cuda
