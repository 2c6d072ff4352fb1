// Convolution the explicit way: the windows written out as the rows of a matrix, then its product.
#pragma once

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

// Bytes: the columns of as many images as fit kColumnBytes, and what the product needs.
int64_t im2col_workspace(const Conv2dProblem& p, Direction direction);

template <class T>
void im2col_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                const Epilogue<T>& epilogue, void* workspace, Stream stream);
template <class T>
void im2col_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                  Stream stream);
template <class T>
void im2col_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw,
                  const Prologue<T>& prologue, void* workspace, Stream stream);

}  // namespace fc::cuda
