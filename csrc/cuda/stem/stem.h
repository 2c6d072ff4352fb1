// Launchers of a convolution of few input channels, such as a network's first: forward and gradient
// by w. Pointers are of the device; workspace has stem_workspace(...) bytes, aligned to 16.
#pragma once

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

// Of at most 4 channels and windows up to 11 x 11: whatever fits has tiles that fit shared memory.
inline bool is_stem(const Conv2dProblem& p) {
  return p.groups == 1 && p.dilation_h == 1 && p.dilation_w == 1 && p.c >= 1 && p.c <= 4 &&
         p.r <= 11 && p.s <= 11 && p.stride_h <= 4 && p.stride_w <= 4;
}

// Of the forward direction with sums in the epilogue, or of the gradient by w.
int64_t stem_workspace(const Conv2dProblem& problem, Direction direction);

// y = epilogue(conv(prologue(x), w))
template <class T>
void stem_fwd(const Conv2dProblem& problem, const T* x, const T* w, T* y,
              const Prologue<T>& prologue, const Epilogue<T>& epilogue, void* workspace,
              Stream stream);

// gw, from prologue(x) and gy
template <class T>
void stem_wgrad(const Conv2dProblem& problem, const T* x, const T* gy, T* gw,
                const Prologue<T>& prologue, void* workspace, Stream stream);

}  // namespace fc::cuda
