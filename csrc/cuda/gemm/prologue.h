// What may happen to an element of the image between memory and the product: act(x * scale +
// shift), per channel. Padding stays 0.
#pragma once

#include "cuda/gemm/epilogue.h"

namespace fc::cuda {

// A Prologue as kernels hold it; scale null: there is none.
template <class T>
struct LoadedThrough {
  const T* scale = nullptr;  // (C,)
  const T* shift = nullptr;
  Act act;

  LoadedThrough() = default;
  explicit LoadedThrough(const Prologue<T>& p) : scale(p.scale), shift(p.shift), act(p.act) {}

  FC_DEVICE bool there() const { return scale != nullptr; }
  // of the channels from this one on
  __host__ __device__ LoadedThrough from(int channel) const {
    LoadedThrough l = *this;
    if (l.scale) l.scale += channel, l.shift += channel;
    return l;
  }

  // to kVec neighbouring channels
  template <int kVec>
  FC_DEVICE void apply(Vec<float, kVec>& value, int64_t channel) const {
    Vec<float, kVec> v[1] = {value};
#pragma unroll
    for (int i = 0; i < kVec; ++i) {
      v[0][i] = v[0][i] * widen(scale[channel + i]) + widen(shift[channel + i]);
    }
    activate(act, v);
    value = v[0];
  }
  // to those that lie in shared memory
  template <int kVec>
  FC_DEVICE void apply_at(T* at, int64_t channel) const {
    Vec<float, kVec> v = widen(load<kVec>(at));
    apply(v, channel);
    store(at, narrow<T>(v));
  }
};

}  // namespace fc::cuda
