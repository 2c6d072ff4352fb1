// Convolutions of 3 x 3 taps, stride 1, without dilation and groups, by Winograd's F(4x4, 3x3).
#pragma once

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

// Forward and gradient by x; there is no other.
inline bool winograd_fits(const Conv2dProblem& p) {
  return p.r == 3 && p.s == 3 && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
         p.dilation_w == 1 && p.groups == 1;
}

// Bytes; sums: whether the epilogue wants them (forward).
int64_t winograd_workspace(const Conv2dProblem& p, Direction direction, bool sums);

template <class T>
void winograd_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                  const Epilogue<T>& epilogue, void* workspace, Stream stream);
template <class T>
void winograd_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                    Stream stream);

}  // namespace fc::cuda
