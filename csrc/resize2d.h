// What resizing an image is: shared by every native module.
#pragma once

#include <cstdint>

namespace fc {

enum class ResizeMode { kNearest, kHalfPixel, kCorners };

// x (n, h, w, c) -> y (n, p, q, c)
struct ResizeShape {
  int64_t n, h, w, p, q, c;
  ResizeMode mode;
};

}  // namespace fc
