// Depthwise convolution (a group per channel), forward and gradient by x, NHWC, weights (C,R,S,1):
//
//   y[n,p,q,c]  = epilogue(sum_{r,s} prologue(x)[n, p*stride + r*dilation - pad, ..., c] *
//   w[c,r,s]) gx[n,h,w,c] = sum of gy[n,p,q,c] * w[c,r,s] over the p, q, r, s with h = p*stride +
//   r*dilation -
//                 pad, and so for w
//
// Both are one kernel: the Window (fixed_window.h, any_window.h) knows which input pixels a row of
// output pixels reads. Nothing is shared between channels, so every thread works alone, and what
// the memory delivers decides: all loads and stores are vectors of channels.
//
// Error bound: |y - y64| <= c * sqrt(R*S) * eps * sum |x w| with c = 1 (a sum in order).
#pragma once

#include "cuda/depthwise/any_window.h"
#include "cuda/depthwise/choose.h"
#include "cuda/depthwise/fixed_window.h"
#include "cuda/depthwise/load_pixels.h"
#include "cuda/depthwise/output_map.h"

namespace fc::cuda {

template <class T, int N, class Window, bool kPrologue>
__global__ void __launch_bounds__(kBlock, 2)
    depthwise_image_kernel(Image image, Tiles tiles, const T* x, const T* w, T* y,
                           InputMap<T> input, OutputMap<T> output) {
  Window::template prepare<N>(tiles, w);
  Affine<N> affine;
  if constexpr (kPrologue) {
    const int channel = tiles.template channel<N>();
    if (channel < tiles.channels) affine = load_affine<N>(input.scale, input.shift, channel);
  }
  const auto load_row = [&](const Patch& patch, int row, int column, auto& in) {
    const T* from =
        x + (int64_t{patch.n} * image.in_h + row) * image.in_w * image.c + patch.channel;
    load_pixels<kPrologue>(from, column, image.in_w, image.c, affine, input.act, in);
  };

  BlockSums sums;
  float* shared = shared_memory<float>() + Window::template shared_bytes<N>(tiles) / sizeof(float);
  for (int step = 0; step < tiles.steps; ++step) {
    const Patch patch = tiles.template patch<N, Window::kColumns>(step);
    Vec<float, N> acc[Window::kColumns];
#pragma unroll
    for (int i = 0; i < Window::kColumns; ++i) acc[i] = Vec<float, N>::all(0.f);
    if (patch.inside) Window::accumulate(image, tiles, patch, w, load_row, acc);
    const int64_t y_at =
        (int64_t{patch.n} * image.out_h + patch.row) * image.out_w * image.c + patch.channel;
    if constexpr (!Window::kBackward) finish(output, image, tiles, patch, y_at, shared, sums, acc);
    if (patch.inside) store_patch(y + y_at, image, patch, acc);
  }
  if constexpr (!Window::kBackward) {
    if (output.partial) sums.template store_sums<N>(tiles, output.partial);
  }
}

template <class Window, int N>
Tiles image_tiles(const Conv2dProblem& p, bool sums) {
  return Tiles(p.n, Window::kBackward ? p.h : p.p, Window::kBackward ? p.w : p.q, p.c, N,
               vectors_of_block(p.c, N), Window::kColumns, Window::shift(p),
               sums ? kSummingBlocks : INT64_MAX);
}

// w: (C,R,S) for a FixedWindow, (R,S,C) for AnyWindow. Nothing may be empty.
template <class Window, int N, class T>
void launch_image(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                  const OutputMap<T>& output, Stream stream) {
  const Tiles tiles = image_tiles<Window, N>(p, output.partial);
  size_t shared = Window::template shared_bytes<N>(tiles);
  if (output.partial) shared += kBlockSumsBytes<N>;
  const auto run = [&](auto kernel) {
    launch(kernel, tiles.grid(N), kBlock, shared, stream, Image(p, Window::kBackward), tiles, x, w,
           y, InputMap<T>(prologue), output);
  };
  if constexpr (!Window::kBackward) {
    if (prologue.scale) return run(depthwise_image_kernel<T, N, Window, true>);
  }
  run(depthwise_image_kernel<T, N, Window, false>);
}

// Calls f with the window that fits and the channels of a vector; a FixedWindow only where vectors
// fit.
template <bool kBackward, class F>
void with_window(const Conv2dProblem& p, bool vectors, F f) {
  const ChannelsOfVector<kChannels> vector;
  switch (vectors ? fixed_window(p) : 0) {
    case 31:
      return f(FixedWindow<3, 1, kBackward>{}, vector);
    case 32:
      return f(FixedWindow<3, 2, kBackward>{}, vector);
    case 51:
      return f(FixedWindow<5, 1, kBackward>{}, vector);
    case 52:
      return f(FixedWindow<5, 2, kBackward>{}, vector);
    case 71:
      return f(FixedWindow<7, 1, kBackward>{}, vector);
    case 72:
      return f(FixedWindow<7, 2, kBackward>{}, vector);
  }
  if (vectors) return f(AnyWindow<kBackward>{}, vector);
  f(AnyWindow<kBackward>{}, ChannelsOfVector<1>{});
}

}  // namespace fc::cuda
