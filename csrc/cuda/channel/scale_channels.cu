// fwd   y[n,h,w,c] = x[n,h,w,c] * s[n,c]                    x (N,H,W,C), s (N,1,1,C)
// bwd   gx = gy * s;   gs[n,c] = sum_{h,w} gy * x
//
// The excitation of Hu et al. 2017, "Squeeze-and-Excitation Networks", section 3.2. An image is a
// segment of the walk by columns; bwd reads gy and x once for both of its outputs.
#include "cuda/channel/channel.h"
#include "cuda/channel/sums.h"

namespace fc::cuda {
namespace {

// s of the walk's image and channels
template <int kN, class Walk, class T>
FC_DEVICE Vec<float, kN> scales_of(const Walk& walk, const T* s, int64_t channels) {
  Vec<float, kN> v;
#pragma unroll
  for (int j = 0; j < kN; ++j) v[j] = widen(s[walk.segment() * channels + walk.channel(j)]);
  return v;
}

template <int kN>
FC_DEVICE Vec<float, kN> product(const Vec<float, kN>& a, const Vec<float, kN>& b) {
  Vec<float, kN> v;
#pragma unroll
  for (int j = 0; j < kN; ++j) v[j] = a[j] * b[j];
  return v;
}

template <class T, bool kAlignedAll>
struct Scale {
  static constexpr int kN = kVector<T>, kBatch = 4;
  static constexpr bool kAligned = kAlignedAll;
  using Values = Vec<float, kN>;

  const T *x, *s;
  T* y;
  int64_t c;

  template <class Walk>
  FC_DEVICE Values channels(const Walk& walk) const {
    return scales_of<kN>(walk, s, c);
  }
  template <class Part>
  FC_DEVICE Values read(Part part, int64_t at) const {
    return part.load(x + at);
  }
  template <class Part>
  FC_DEVICE void use(Part part, int64_t at, const Values& v, const Values& scale) const {
    part.store(y + at, product(v, scale));
  }
};

template <class T, bool kAlignedAll>
struct Products {
  static constexpr int kN = kVector<T>, kBatch = 4, kSums = 1;
  static constexpr bool kAligned = kAlignedAll;
  using Walk = ColumnWalk<kN, kAligned>;
  using Values = Vec<float, kN>;
  struct Loaded {
    Values gy, x;
  };

  const T *gy, *x, *s;
  T* gx;
  int64_t c;

  FC_DEVICE Values channels(const Walk& walk) const {
    return gx ? scales_of<kN>(walk, s, c) : Values::all(0);
  }
  template <class Part>
  FC_DEVICE Loaded read(Part part, int64_t at, int64_t, const Values&) const {
    return {part.load(gy + at), part.load(x + at)};
  }
  template <class Part>
  FC_DEVICE void add(Part part, int64_t at, const Loaded& v, const Values& scale,
                     float* run) const {
    if (gx) part.store(gx + at, product(v.gy, scale));
#pragma unroll
    for (int j = 0; j < kN; ++j) run[j] += v.gy[j] * v.x[j];
  }
  FC_DEVICE void close(const Walk&, const Values&, double*) const {}
};

template <class T>
struct StoreScales {
  T* gs;
  int64_t channels;
  FC_DEVICE void operator()(int image, int c, const double* total) const {
    gs[image * channels + c] = narrow<T>(static_cast<float>(total[0]));
  }
};

}  // namespace

template <class T>
void scale_channels_fwd(const T* x, const T* s, T* y, int64_t n, int64_t size, int64_t channels,
                        Stream stream) {
  if (n * size == 0) return;
  with_alignment(
      size,
      [&](auto aligned) {
        map_columns<T>(Scale<T, decltype(aligned)::value>{x, s, y, channels}, n, size, channels,
                       stream);
      },
      x, y);
}

int64_t scale_channels_bwd_workspace(int64_t n, int64_t size, int64_t channels) {
  return sums_workspace<float>(n, size, channels, 1);
}

template <class T>
void scale_channels_bwd(const T* gy, const T* x, const T* s, T* gx, T* gs, int64_t n, int64_t size,
                        int64_t channels, void* workspace, Stream stream) {
  if (!gs) {
    if (gx) scale_channels_fwd(gy, s, gx, n, size, channels, stream);
    return;
  }
  if (n * channels == 0) return;
  if (size == 0) return fill_zero(gs, n * channels * sizeof(T), stream);
  with_alignment(
      size,
      [&](auto aligned) {
        sum_columns<T>(Products<T, decltype(aligned)::value>{gy, x, s, gx, channels},
                       StoreScales<T>{gs, channels}, n, size, channels, workspace, stream);
      },
      gy, x, gx);
}

template void scale_channels_fwd(const float*, const float*, float*, int64_t, int64_t, int64_t,
                                 Stream);
template void scale_channels_bwd(const float*, const float*, const float*, float*, float*, int64_t,
                                 int64_t, int64_t, void*, Stream);

}  // namespace fc::cuda
