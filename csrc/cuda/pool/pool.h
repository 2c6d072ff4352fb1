// Launchers of the pooling kernels. Pointers are of the device; x, gx (N,H,W,C); y, gy, argmax
// (N,P,Q,C). One image has fewer than 2^31 elements.
#pragma once

#include "cuda/stream.h"
#include "pool2d.h"

namespace fc::cuda {

// Index: uint8_t or int32_t. argmax: the tap r*S + s of the first maximum; may be null in fwd.
template <class T, class Index>
void max_pool2d_fwd(const T* x, T* y, Index* argmax, const Pool2d& g, Stream stream);
template <class T, class Index>
void max_pool2d_bwd(const T* gy, const Index* argmax, T* gx, const Pool2d& g, Stream stream);

template <class T>
void avg_pool2d_fwd(const T* x, T* y, const Pool2d& g, bool count_include_pad, Stream stream);
template <class T>
void avg_pool2d_bwd(const T* gy, T* gx, const Pool2d& g, bool count_include_pad, Stream stream);

template <class T>
void adaptive_avg_pool2d_fwd(const T* x, T* y, const Pool2d& g, Stream stream);
template <class T>
void adaptive_avg_pool2d_bwd(const T* gy, T* gx, const Pool2d& g, Stream stream);

// argmax: the pixel h*W + w of the first maximum; may be null in fwd.
template <class T>
void adaptive_max_pool2d_fwd(const T* x, T* y, int32_t* argmax, const Pool2d& g, Stream stream);
template <class T>
void adaptive_max_pool2d_bwd(const T* gy, const int32_t* argmax, T* gx, const Pool2d& g,
                             Stream stream);

}  // namespace fc::cuda
