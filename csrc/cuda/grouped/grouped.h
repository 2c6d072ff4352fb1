// Launchers of 3x3 convolution with few channels per group (ResNeXt, RegNet). Pointers are of the
// device; workspace has grouped_workspace(...) bytes, aligned to 16.
#pragma once

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

// More than one group; of each, 4, 8, .. 32 channels in and out (their numbers may differ); window
// 3x3, stride 1 or 2 along both axes, no dilation. With more channels a tile of implicit GEMM, 64
// wide, is at least half full; other windows go there too.
bool grouped_fits(const Conv2dProblem& problem);

// sums: the epilogue asks for them. Enough for every storage type and alignment.
int64_t grouped_workspace(const Conv2dProblem& problem, Direction direction, bool sums);

// Arrays that do not begin at a multiple of four elements go through implicit GEMM.

// y = epilogue(conv(prologue(x), w))
template <class T>
void grouped_fwd(const Conv2dProblem& problem, const T* x, const T* w, T* y,
                 const Prologue<T>& prologue, const Epilogue<T>& epilogue, void* workspace,
                 Stream stream);

// gx, from gy and w
template <class T>
void grouped_dgrad(const Conv2dProblem& problem, const T* gy, const T* w, T* gx, void* workspace,
                   Stream stream);

// gw, from prologue(x) and gy
template <class T>
void grouped_wgrad(const Conv2dProblem& problem, const T* x, const T* gy, T* gw,
                   const Prologue<T>& prologue, void* workspace, Stream stream);

}  // namespace fc::cuda
