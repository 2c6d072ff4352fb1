// What a convolution computes: y, the gradient by x, the gradient by w.
#pragma once

namespace fc::cuda {

enum class Direction { kFwd, kDgrad, kWgrad };

}  // namespace fc::cuda
