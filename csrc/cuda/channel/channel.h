// Launchers of the per-channel kernels. Pointers are of the device; x (rows, C).
#pragma once

#include <cstdint>

#include "cuda/stream.h"

namespace fc::cuda {

// Bytes for channel_sum and channel_stats.
int64_t channel_sums_workspace(int64_t size, int64_t channels);

// y[c] = sum x[:, c]
template <class T>
void channel_sum(const T* x, T* y, int64_t rows, int64_t channels, void* workspace, Stream stream);
// sums[0, c] = sum x[:, c], sums[1, c] = sum x[:, c]^2
template <class T>
void channel_stats(const T* x, double* sums, int64_t rows, int64_t channels, void* workspace,
                   Stream stream);

// y[n,h,w,c] = x[n,h,w,c] * s[n,c]; y may be x; size = H*W*C
template <class T>
void scale_channels_fwd(const T* x, const T* s, T* y, int64_t n, int64_t size, int64_t channels,
                        Stream stream);

int64_t scale_channels_bwd_workspace(int64_t n, int64_t size, int64_t channels);
// gx = gy*s, gs[n,c] = sum_{h,w} gy*x; null where not wanted
template <class T>
void scale_channels_bwd(const T* gy, const T* x, const T* s, T* gx, T* gs, int64_t n, int64_t size,
                        int64_t channels, void* workspace, Stream stream);

}  // namespace fc::cuda
