// Launchers of the resize kernels. Pointers are of the device; x, gx (N,H,W,C); y, gy (N,P,Q,C).
#pragma once

#include "cuda/stream.h"
#include "resize2d.h"

namespace fc::cuda {

// Whether the kernels' indices, which are int, are wide enough.
bool resize_fits(const ResizeShape& g);

template <class T>
void resize_fwd(const T* x, T* y, const ResizeShape& g, Stream stream);
template <class T>
void resize_bwd(const T* gy, T* gx, const ResizeShape& g, Stream stream);

}  // namespace fc::cuda
