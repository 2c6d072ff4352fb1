// Launchers of depthwise convolution: groups == C == K. Pointers are of the device; workspace has
// depthwise_workspace(...) bytes, aligned to 16.
#pragma once

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

// sums: the epilogue asks for them. Enough for every storage type.
int64_t depthwise_workspace(const Conv2dProblem& problem, Direction direction, bool sums);

// y = epilogue(conv(prologue(x), w))
template <class T>
void depthwise_fwd(const Conv2dProblem& problem, const T* x, const T* w, T* y,
                   const Prologue<T>& prologue, const Epilogue<T>& epilogue, void* workspace,
                   Stream stream);

// gx, from gy and w
template <class T>
void depthwise_dgrad(const Conv2dProblem& problem, const T* gy, const T* w, T* gx, void* workspace,
                     Stream stream);

// gw, from prologue(x) and gy
template <class T>
void depthwise_wgrad(const Conv2dProblem& problem, const T* x, const T* gy, T* gw,
                     const Prologue<T>& prologue, void* workspace, Stream stream);

}  // namespace fc::cuda
