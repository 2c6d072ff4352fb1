// Max pooling, NHWC, over sliding windows and over adaptive ones:
//
//   y[n,p,q,c]  = max of x[n,h,w,c] over the window (p,q)       padding never wins
//   gx[n,h,w,c] = sum of gy[n,p,q,c] over the windows (p,q) whose argmax is (h,w)
//
// The first maximum in row order stays; NaN wins over numbers, and the first NaN over later ones.
// argmax is the tap r*S + s of a sliding window, the pixel h*W + w of an adaptive one.
#include "cuda/pool/backward.h"
#include "cuda/pool/forward.h"
#include "cuda/pool/pool.h"

namespace fc::cuda {
namespace {

template <class T, class Index>
struct Maximum {
  T* y;
  Index* argmax;  // may be null

  template <int kN>
  struct Partial {
    Vec<float, kN> best = Vec<float, kN>::all(-INFINITY);
    Vec<int, kN> number;
    FC_DEVICE explicit Partial(int first_number) : number(Vec<int, kN>::all(first_number)) {}
  };

  template <int kN>
  FC_DEVICE void take(Partial<kN>& a, const Vec<float, kN>& x, int number) const {
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      const bool wins = !(x[i] <= a.best[i]) && a.best[i] == a.best[i];
      a.best[i] = wins ? x[i] : a.best[i];
      a.number[i] = wins ? number : a.number[i];
    }
  }
  template <int kN>
  FC_DEVICE void fold(Partial<kN>&) const {}

  template <int kN>
  static constexpr int planes = 2 * kN;
  template <int kN>
  FC_DEVICE void put(const Partial<kN>& a, float* shared, int pitch) const {
    auto* numbers = reinterpret_cast<int*>(shared + kN * pitch);
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      shared[i * pitch] = a.best[i];
      numbers[i * pitch] = a.number[i];
    }
  }
  // Another thread's pixels lie between this one's: of equal ones the smaller number stays.
  template <int kN>
  FC_DEVICE void merge(Partial<kN>& a, const float* shared, int pitch) const {
    const auto* numbers = reinterpret_cast<const int*>(shared + kN * pitch);
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      const float best = shared[i * pitch];
      const int number = numbers[i * pitch];
      const bool a_nan = a.best[i] != a.best[i], b_nan = best != best;
      const bool larger = b_nan ? !a_nan : best > a.best[i];
      const bool same = a_nan ? b_nan : best == a.best[i];
      const bool wins = larger || (same && number < a.number[i]);
      a.best[i] = wins ? best : a.best[i];
      a.number[i] = wins ? number : a.number[i];
    }
  }

  template <int kN>
  FC_DEVICE void store(const Partial<kN>& a, int64_t at, int) const {
    fc::cuda::store(y + at, narrow<T>(a.best));
    if (argmax == nullptr) return;
    Vec<Index, kN> number;
#pragma unroll
    for (int i = 0; i < kN; ++i) number[i] = static_cast<Index>(a.number[i]);
    fc::cuda::store(argmax + at, number);
  }
};

template <class T, class Index>
struct MaximumShare {
  const T* gy;
  const Index* argmax;

  template <int kN>
  FC_DEVICE void add(Vec<float, kN>& sum, int64_t at, int number, int) const {
    const auto g = widen(load<kN>(gy + at));
    const Vec<Index, kN> winner = load<kN>(argmax + at);
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      if (winner[i] == static_cast<Index>(number)) sum[i] += g[i];
    }
  }
};

// Channels of one thread: at most 16 bytes of either array.
template <class T, class Index>
constexpr int kChannels = kVector<T> < kVector<Index> ? kVector<T> : kVector<Index>;

template <class T, class Index, class Axis>
void forward(const T* x, T* y, Index* argmax, const Windows<Axis>& windows, int64_t images,
             Stream stream) {
  constexpr int kN = kChannels<T, Index>;
  const Maximum<T, Index> maximum{y, argmax};
  if (vectors_fit<kN>(x, windows.c) && vectors_fit<kN>(y, 0) && vectors_fit<kN>(argmax, 0)) {
    pool_windows<kN>(x, windows, images, maximum, stream);
  } else {
    pool_windows<1>(x, windows, images, maximum, stream);
  }
}

template <class T, class Index, class Axis>
void backward(const T* gy, const Index* argmax, T* gx, const Windows<Axis>& windows, int64_t images,
              Stream stream) {
  constexpr int kN = kChannels<T, Index>;
  const MaximumShare<T, Index> share{gy, argmax};
  if (vectors_fit<kN>(gy, windows.c) && vectors_fit<kN>(gx, 0) && vectors_fit<kN>(argmax, 0)) {
    pool_gradient<kN>(gx, windows, images, share, stream);
  } else {
    pool_gradient<1>(gx, windows, images, share, stream);
  }
}

}  // namespace

template <class T, class Index>
void max_pool2d_fwd(const T* x, T* y, Index* argmax, const Pool2d& g, Stream stream) {
  with_sliding_windows(g, false,
                       [&](const auto& windows) { forward(x, y, argmax, windows, g.n, stream); });
}

template <class T, class Index>
void max_pool2d_bwd(const T* gy, const Index* argmax, T* gx, const Pool2d& g, Stream stream) {
  with_sliding_windows(
      g, false, [&](const auto& windows) { backward(gy, argmax, gx, windows, g.n, stream); });
}

template <class T>
void adaptive_max_pool2d_fwd(const T* x, T* y, int32_t* argmax, const Pool2d& g, Stream stream) {
  forward(x, y, argmax, adaptive_windows(g), g.n, stream);
}

template <class T>
void adaptive_max_pool2d_bwd(const T* gy, const int32_t* argmax, T* gx, const Pool2d& g,
                             Stream stream) {
  backward(gy, argmax, gx, adaptive_windows(g), g.n, stream);
}

template void max_pool2d_fwd(const float*, float*, uint8_t*, const Pool2d&, Stream);
template void max_pool2d_fwd(const float*, float*, int32_t*, const Pool2d&, Stream);
template void max_pool2d_bwd(const float*, const uint8_t*, float*, const Pool2d&, Stream);
template void max_pool2d_bwd(const float*, const int32_t*, float*, const Pool2d&, Stream);
template void adaptive_max_pool2d_fwd(const float*, float*, int32_t*, const Pool2d&, Stream);
template void adaptive_max_pool2d_bwd(const float*, const int32_t*, float*, const Pool2d&, Stream);

}  // namespace fc::cuda
