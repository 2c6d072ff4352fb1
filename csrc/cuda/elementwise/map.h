// y[i] = f(inputs[i]...): the loop of every kernel that treats elements one by one.
#pragma once

#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"

namespace fc::cuda {

// A thread moves kN neighbours at once; the last size % kN elements go one by one, to the threads
// after those. Inputs and output may be the same array: a thread reads before it writes.
template <int kN, class T, class F, class... In>
__global__ void __launch_bounds__(kBlock) map_kernel(F f, int64_t size, T* y, const In*... in) {
  const int64_t vectors = size / kN;
  const int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (i < vectors) {
    Vec<T, kN> out;  // (kN)
    const auto apply = [&](const auto&... v) {
#pragma unroll
      for (int j = 0; j < kN; ++j) out[j] = narrow<T>(f(widen(v[j])...));
    };
    apply(load<kN>(in + i * kN)...);
    store(y + i * kN, out);
  } else if (i - vectors < size % kN) {
    const int64_t at = i - vectors + vectors * kN;
    y[at] = narrow<T>(f(widen(in[at])...));
  }
}

template <class T, class F, class... In>
void map(F f, int64_t size, Stream stream, T* y, const In*... in) {
  if (size == 0) return;
  constexpr int kN = kVector<T>;
  if (vectors_fit<kN>(y, 0) && (vectors_fit<kN>(in, 0) && ...)) {
    launch(map_kernel<kN, T, F, In...>, blocks_for(size / kN + size % kN), kBlock, 0, stream, f,
           size, y, in...);
  } else {
    launch(map_kernel<1, T, F, In...>, blocks_for(size), kBlock, 0, stream, f, size, y, in...);
  }
}

}  // namespace fc::cuda
