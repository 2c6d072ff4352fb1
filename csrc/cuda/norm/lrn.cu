// Local response normalisation across channels, x (rows, C) (Krizhevsky et al. 2012, section 3.3):
//
//   fwd   scale[c] = k + alpha * sum_{c-size/2 <= j <= c+(size-1)/2} x[j]^2;  y = x * scale^-beta
//   bwd   gx[c] = gy[c]*scale[c]^-beta
//                 - 2*alpha*beta*x[c] * sum over j whose window holds c of ratio[j]
//         ratio[j] = gy[j]*x[j]*scale[j]^(-beta-1)
//
// A block takes kTile neighbouring elements, whatever rows they are of. What windows add up lies in
// shared memory, with the windows' reach before and after the tile; neighbouring threads have
// neighbouring elements, so that neither kind of memory sees a stride.
#include <algorithm>
#include <type_traits>

#include "cuda/device/divide.h"
#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/norm/norm.h"

namespace fc::cuda {
namespace {

constexpr int kPerThread = 4, kTile = kPerThread * kBlock;
constexpr int64_t kMostShared = int64_t{48} << 10;

// s^-beta; the paper's exponent has a quicker formula
template <bool kPaper>
FC_DEVICE float inverse_power(float s, float beta) {
  if constexpr (!kPaper) return powf(s, -beta);
  const float root = sqrtf(s);
  return 1 / (root * sqrtf(root));
}

// The channels before and after its own that a window holds.
struct Reach {
  int before, after;
};

// F: term(e) is what windows add up, with what finish(e, own, sum) then needs: own.term. kShared:
// the terms fit shared memory, else every window computes its own.
template <class F, bool kShared>
__global__ void __launch_bounds__(kBlock)
    windows_kernel(F f, int64_t size, int channels, Divider by_channels, Reach reach) {
  float* terms = shared_memory<float>();  // (before + kTile + after)
  const int64_t begin = int64_t{blockIdx.x} * kTile;
  const int count = size - begin < kTile ? static_cast<int>(size - begin) : kTile;
  const int first_channel = static_cast<int>(begin % channels);

  typename F::Own own[kPerThread];
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int t = i * kBlock + static_cast<int>(threadIdx.x);
    if (t >= count) continue;
    own[i] = f.term(begin + t);
    if constexpr (kShared) terms[reach.before + t] = own[i].term;
  }
  if constexpr (kShared) {
    // before: slots 0 to reach.before; after: those that follow the tile
    for (int t = static_cast<int>(threadIdx.x); t < reach.before + reach.after; t += kBlock) {
      const int slot = t < reach.before ? t : t + kTile;
      const int64_t e = begin + slot - reach.before;
      if (e >= 0 && e < size) terms[slot] = f.term(e).term;
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int t = i * kBlock + static_cast<int>(threadIdx.x);
    if (t >= count) continue;
    int row, c;
    by_channels.split(first_channel + t, row, c);
    const int low = c < reach.before ? c : reach.before;
    const int high = channels - 1 - c < reach.after ? channels - 1 - c : reach.after;
    float sum = 0;
    for (int d = -low; d <= high; ++d) {
      if constexpr (kShared) {
        sum += terms[reach.before + t + d];
      } else {
        sum += f.term(begin + t + d).term;
      }
    }
    f.finish(begin + t, own[i], sum);
  }
}

template <class T, bool kPaper>
struct Forward {
  struct Own {
    float term, x;
  };
  const T* x;
  T *y, *scale;  // scale may be null
  float alpha, beta, k;

  FC_DEVICE Own term(int64_t e) const {
    const float v = widen(x[e]);
    return {v * v, v};
  }
  FC_DEVICE void finish(int64_t e, const Own& own, float sum) const {
    const float s = k + alpha * sum;
    if (scale) scale[e] = narrow<T>(s);
    y[e] = narrow<T>(own.x * inverse_power<kPaper>(s, beta));
  }
};

template <class T, bool kPaper>
struct Backward {
  struct Own {
    float term, direct, x;
  };
  const T *gy, *x, *scale;
  T* gx;
  float beta, factor;

  FC_DEVICE Own term(int64_t e) const {
    const float v = widen(x[e]), s = widen(scale[e]);
    const float direct = widen(gy[e]) * inverse_power<kPaper>(s, beta);
    return {direct * v / s, direct, v};
  }
  FC_DEVICE void finish(int64_t e, const Own& own, float sum) const {
    gx[e] = narrow<T>(own.direct - factor * own.x * sum);
  }
};

template <class F>
void add_windows(const F& f, int64_t rows, int64_t channels, int64_t before, int64_t after,
                 Stream stream) {
  const int64_t size = rows * channels;
  if (size == 0) return;
  // no window reaches further than a row
  const Reach reach{static_cast<int>(std::min(before, channels - 1)),
                    static_cast<int>(std::min(after, channels - 1))};
  const int64_t bytes = (int64_t{kTile} + reach.before + reach.after) * sizeof(float);
  const bool fits = bytes <= kMostShared;
  launch(fits ? windows_kernel<F, true> : windows_kernel<F, false>, blocks_for(size, kTile), kBlock,
         fits ? bytes : 0, stream, f, size, static_cast<int>(channels), Divider(channels), reach);
}

// Calls f with whether beta is the paper's 3/4, as a constant.
template <class F>
void with_exponent(double beta, F f) {
  if (beta == 0.75) {
    f(std::true_type());
  } else {
    f(std::false_type());
  }
}

}  // namespace

template <class T>
void lrn_fwd(const T* x, T* y, T* scale, int64_t rows, int64_t channels, int64_t size, double alpha,
             double beta, double k, Stream stream) {
  with_exponent(beta, [&](auto paper) {
    const Forward<T, decltype(paper)::value> f{
        x, y, scale, static_cast<float>(alpha), static_cast<float>(beta), static_cast<float>(k)};
    add_windows(f, rows, channels, size / 2, (size - 1) / 2, stream);
  });
}

template <class T>
void lrn_bwd(const T* gy, const T* x, const T* scale, T* gx, int64_t rows, int64_t channels,
             int64_t size, double alpha, double beta, Stream stream) {
  with_exponent(beta, [&](auto paper) {
    const Backward<T, decltype(paper)::value> f{
        gy, x, scale, gx, static_cast<float>(beta), static_cast<float>(2 * alpha * beta)};
    add_windows(f, rows, channels, (size - 1) / 2, size / 2, stream);
  });
}

template void lrn_fwd(const float*, float*, float*, int64_t, int64_t, int64_t, double, double,
                      double, Stream);
template void lrn_bwd(const float*, const float*, const float*, float*, int64_t, int64_t, int64_t,
                      double, double, Stream);

}  // namespace fc::cuda
