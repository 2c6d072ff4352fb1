// Average pooling, NHWC, over sliding windows and over adaptive ones:
//
//   y[n,p,q,c]  = sum of x[n,h,w,c] over the window (p,q) / divisor(p,q)
//   gx[n,h,w,c] = sum of gy[n,p,q,c] / divisor(p,q) over the windows that hold (h,w)
//
// The divisor counts the taps inside the input, or inside the padded input (count_include_pad).
// Adaptive windows: rows floor(p*H/P) .. ceil((p+1)*H/P), columns alike; P = Q = 1 is the global
// average.
#include "cuda/pool/backward.h"
#include "cuda/pool/forward.h"
#include "cuda/pool/pool.h"

namespace fc::cuda {
namespace {

template <class T>
struct Average {
  T* y;

  // A long sum is made of the sums of short runs: its error grows with the longest chain.
  template <int kN>
  struct Partial {
    Vec<float, kN> sum = Vec<float, kN>::all(0), run = Vec<float, kN>::all(0);
    FC_DEVICE explicit Partial(int) {}
  };

  template <int kN>
  FC_DEVICE void take(Partial<kN>& a, const Vec<float, kN>& x, int) const {
#pragma unroll
    for (int i = 0; i < kN; ++i) a.run[i] += x[i];
  }
  template <int kN>
  FC_DEVICE void fold(Partial<kN>& a) const {
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      a.sum[i] += a.run[i];
      a.run[i] = 0;
    }
  }

  template <int kN>
  static constexpr int planes = kN;
  template <int kN>
  FC_DEVICE void put(const Partial<kN>& a, float* shared, int pitch) const {
#pragma unroll
    for (int i = 0; i < kN; ++i) shared[i * pitch] = a.sum[i];
  }
  template <int kN>
  FC_DEVICE void merge(Partial<kN>& a, const float* shared, int pitch) const {
#pragma unroll
    for (int i = 0; i < kN; ++i) a.sum[i] += shared[i * pitch];
  }

  template <int kN>
  FC_DEVICE void store(const Partial<kN>& a, int64_t at, int divisor) const {
    Vec<float, kN> mean;
#pragma unroll
    for (int i = 0; i < kN; ++i) mean[i] = a.sum[i] / static_cast<float>(divisor);
    fc::cuda::store(y + at, narrow<T>(mean));
  }
};

template <class T>
struct AverageShare {
  const T* gy;

  template <int kN>
  FC_DEVICE void add(Vec<float, kN>& sum, int64_t at, int, int divisor) const {
    const auto g = widen(load<kN>(gy + at));
    // one division for kN channels; it rounds once more
    const float share = 1 / static_cast<float>(divisor);
#pragma unroll
    for (int i = 0; i < kN; ++i) sum[i] += g[i] * share;
  }
};

template <class T, class Axis>
void forward(const T* x, T* y, const Windows<Axis>& windows, int64_t images, Stream stream) {
  constexpr int kN = kVector<T>;
  if (vectors_fit<kN>(x, windows.c) && vectors_fit<kN>(y, windows.c)) {
    pool_windows<kN>(x, windows, images, Average<T>{y}, stream);
  } else {
    pool_windows<1>(x, windows, images, Average<T>{y}, stream);
  }
}

template <class T, class Axis>
void backward(const T* gy, T* gx, const Windows<Axis>& windows, int64_t images, Stream stream) {
  constexpr int kN = kVector<T>;
  if (vectors_fit<kN>(gy, windows.c) && vectors_fit<kN>(gx, windows.c)) {
    pool_gradient<kN>(gx, windows, images, AverageShare<T>{gy}, stream);
  } else {
    pool_gradient<1>(gx, windows, images, AverageShare<T>{gy}, stream);
  }
}

}  // namespace

template <class T>
void avg_pool2d_fwd(const T* x, T* y, const Pool2d& g, bool count_include_pad, Stream stream) {
  with_sliding_windows(g, count_include_pad,
                       [&](const auto& windows) { forward(x, y, windows, g.n, stream); });
}

template <class T>
void avg_pool2d_bwd(const T* gy, T* gx, const Pool2d& g, bool count_include_pad, Stream stream) {
  with_sliding_windows(g, count_include_pad,
                       [&](const auto& windows) { backward(gy, gx, windows, g.n, stream); });
}

template <class T>
void adaptive_avg_pool2d_fwd(const T* x, T* y, const Pool2d& g, Stream stream) {
  forward(x, y, adaptive_windows(g), g.n, stream);
}

template <class T>
void adaptive_avg_pool2d_bwd(const T* gy, T* gx, const Pool2d& g, Stream stream) {
  backward(gy, gx, adaptive_windows(g), g.n, stream);
}

template void avg_pool2d_fwd(const float*, float*, const Pool2d&, bool, Stream);
template void avg_pool2d_bwd(const float*, float*, const Pool2d&, bool, Stream);
template void adaptive_avg_pool2d_fwd(const float*, float*, const Pool2d&, Stream);
template void adaptive_avg_pool2d_bwd(const float*, float*, const Pool2d&, Stream);

}  // namespace fc::cuda
