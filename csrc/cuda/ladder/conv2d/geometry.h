// Where the channels lie that output pixel (n,p,q) and output channel k multiply at tap (r,s).
#pragma once

#include "conv2d.h"
#include "cuda/device/divide.h"

namespace fc::cuda::ladder {

struct Geometry {
  int h, w, c, k, r, s;
  int pixels;  // N*P*Q
  int stride_h, stride_w, pad_top, pad_left;
  Divider by_k, by_p, by_q;

  explicit Geometry(const Conv2dProblem& a)
      : h(static_cast<int>(a.h)),
        w(static_cast<int>(a.w)),
        c(static_cast<int>(a.c)),
        k(static_cast<int>(a.k)),
        r(static_cast<int>(a.r)),
        s(static_cast<int>(a.s)),
        pixels(static_cast<int>(a.n * a.p * a.q)),
        stride_h(static_cast<int>(a.stride_h)),
        stride_w(static_cast<int>(a.stride_w)),
        pad_top(static_cast<int>(a.pad_top)),
        pad_left(static_cast<int>(a.pad_left)),
        by_k(a.k),
        by_p(a.p),
        by_q(a.q) {}
};

// What an output pixel reads: image n from (row, column) on.
struct Window {
  int n, row, column;
};

FC_DEVICE Window window_of(const Geometry& g, int pixel) {
  constexpr int kOutside = -(1 << 30);  // a pixel that is not there reads padding only
  if (pixel >= g.pixels) return {0, kOutside, kOutside};
  int image_row, n, p, q;
  g.by_q.split(pixel, image_row, q);
  g.by_p.split(image_row, n, p);
  return {n, p * g.stride_h - g.pad_top, q * g.stride_w - g.pad_left};
}

// (C,) of x; null in the padding.
FC_DEVICE const float* inputs_at(const Geometry& g, const float* x, const Window& window, int r,
                                 int s) {
  const int row = window.row + r, column = window.column + s;
  if (row < 0 || row >= g.h || column < 0 || column >= g.w) return nullptr;
  return x + ((int64_t{window.n} * g.h + row) * g.w + column) * g.c;
}

// (C,) of w; null past the last output channel.
FC_DEVICE const float* weights_at(const Geometry& g, const float* w, int k, int r, int s) {
  if (k >= g.k) return nullptr;
  return w + ((int64_t{k} * g.r + r) * g.s + s) * g.c;
}

}  // namespace fc::cuda::ladder
