// Launchers of the element-wise kernels. Pointers are of the device; size in elements.
#pragma once

#include <cstdint>

#include "activation.h"
#include "cuda/stream.h"

namespace fc::cuda {

// y = act(x); y may be x
template <class T>
void activation_fwd(const T* x, T* y, int64_t size, const Activation& act, Stream stream);
// gx = gy * act'(saved); gx may be gy
template <class T>
void activation_bwd(const T* gy, const T* saved, T* gx, int64_t size, const Activation& act,
                    Stream stream);
// y = act(a + b); y may be a or b
template <class T>
void add(const T* a, const T* b, T* y, int64_t size, const Activation& act, Stream stream);

// y[m, i*groups + g] = x[m, g*(C/groups) + i]; x, y (M, C) with C below 2^31
template <class T>
void channel_shuffle(const T* x, T* y, int64_t m, int64_t c, int64_t groups, Stream stream);

}  // namespace fc::cuda
