// What a pooling window is: shared by every native module.
#pragma once

#include <cstdint>

namespace fc {

// A window r x s slides over x (n, h, w, c) and gives y (n, p, q, c); letters as in problem.py.
// Adaptive pooling reads n, h, w, c, p, q alone.
struct Pool2d {
  int64_t n, h, w, c, r, s, p, q;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t dilation_h, dilation_w;
};

}  // namespace fc
