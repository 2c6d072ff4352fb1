// Convolution as a matrix product that reads the image where it lies.
#pragma once

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

// Bytes; sums: whether the epilogue wants them (forward).
int64_t implicit_workspace(const Conv2dProblem& p, Direction direction, bool sums);

template <class T>
void implicit_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                  const Epilogue<T>& epilogue, void* workspace, Stream stream);
template <class T>
void implicit_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                    Stream stream);
template <class T>
void implicit_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw,
                    const Prologue<T>& prologue, void* workspace, Stream stream);

}  // namespace fc::cuda
