// Tiles of 4 x 4 outputs, and the patches of 6 x 6 inputs that they come from.
//
// Forward: x -> y. Gradient by x: gy -> gx with the window turned round, so that `before` pixels of
// padding are 2 less those of the convolution (negative: the first pixels are not read).
#pragma once

#include <stdexcept>

#include "conv2d.h"
#include "cuda/device/divide.h"
#include "cuda/winograd/layout.h"

namespace fc::cuda::winograd {

struct Image {
  int in_h, in_w, in_c;
  int out_h, out_w, out_c;
  int before_h, before_w;
  int tiles;
  Divider by_image, by_row;  // tiles of an image, of a row of tiles

  Image(const Conv2dProblem& p, bool backward)
      : in_h(static_cast<int>(backward ? p.p : p.h)),
        in_w(static_cast<int>(backward ? p.q : p.w)),
        in_c(static_cast<int>(backward ? p.k : p.c)),
        out_h(static_cast<int>(backward ? p.h : p.p)),
        out_w(static_cast<int>(backward ? p.w : p.q)),
        out_c(static_cast<int>(backward ? p.c : p.k)),
        before_h(static_cast<int>(backward ? kTaps - 1 - p.pad_top : p.pad_top)),
        before_w(static_cast<int>(backward ? kTaps - 1 - p.pad_left : p.pad_left)) {
    const int64_t row = ceil_div(out_w, kOutputs), image = ceil_div(out_h, kOutputs) * row;
    if (p.n * image * column_blocks() > INT32_MAX - kTiles) {
      throw std::invalid_argument("winograd: more than 2^31 tiles");
    }
    tiles = static_cast<int>(p.n * image);
    by_image = Divider(image);
    by_row = Divider(row);
  }

  __host__ __device__ int tile_blocks() const { return ceil_div(tiles, kTiles); }
  __host__ __device__ int column_blocks() const { return ceil_div(out_c, kColumns); }
  __host__ __device__ int depths() const { return ceil_div(in_c, kDepth); }
};

// Where a tile's outputs begin.
struct TilePlace {
  bool inside;
  int n, h, w;

  FC_DEVICE TilePlace(const Image& image, int tile) : inside(tile < image.tiles) {
    int rest;
    image.by_image.split(inside ? tile : 0, n, rest);
    image.by_row.split(rest, h, w);
    h *= kOutputs;
    w *= kOutputs;
  }
};

}  // namespace fc::cuda::winograd
