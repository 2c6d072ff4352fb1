// channel_sum     y[c] = sum_i x[i,c]                                  x (rows, C)
// channel_stats   sums[0,c] = sum_i x[i,c]   sums[1,c] = sum_i x[i,c]^2   float64
//
// The variance sums[1]/rows - mean^2 must survive a mean of 1e4, where float32 terms x^2 would lose
// it. So a thread sums around a pivot k, the first value that it meets of each channel:
//   d = x - k;   sum x = sum d + n*k;   sum x^2 = sum d^2 + k*(2*sum d + n*k)     (float64)
// An error e of sum d enters the variance as 2*(k - mean)*e/n: what is lost is about kRun * 2^-24
// of d^2, of the spread around the pivots, whatever the mean.
// Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", section 3: shifting.
#include "cuda/channel/channel.h"
#include "cuda/channel/pivot.h"
#include "cuda/channel/sums.h"

namespace fc::cuda {
namespace {

template <class T, bool kAlignedX>
struct Sum {
  static constexpr int kN = kVector<T>, kBatch = 4, kSums = 1;
  static constexpr bool kAligned = kAlignedX;
  using Walk = ColumnWalk<kN, kAligned>;
  struct Channels {};

  const T* x;

  FC_DEVICE Channels channels(const Walk&) const { return {}; }
  template <class Part>
  FC_DEVICE Vec<float, kN> read(Part part, int64_t at, int64_t, const Channels&) const {
    return part.load(x + at);
  }
  template <class Part>
  FC_DEVICE void add(Part, int64_t, const Vec<float, kN>& v, const Channels&, float* run) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) run[j] += v[j];  // zeros after the last
  }
  FC_DEVICE void close(const Walk&, const Channels&, double*) const {}
};

template <class T>
struct StoreSum {
  T* y;
  FC_DEVICE void operator()(int, int c, const double* total) const {
    y[c] = narrow<T>(static_cast<float>(total[0]));
  }
};

template <class T, bool kAlignedX>
struct Stats {
  static constexpr int kN = kVector<T>, kBatch = 4, kSums = 2;
  static constexpr bool kAligned = kAlignedX;
  using Walk = ColumnWalk<kN, kAligned>;
  struct Channels {
    Vec<float, kN> pivot;
  };

  const T* x;

  FC_DEVICE Channels channels(const Walk& walk) const {
    Channels c{Vec<float, kN>::all(0)};
    if (walk.count()) {
      c.pivot = typename Walk::Whole().load(x + walk.at(0));
    } else if (walk.last().count()) {
      c.pivot = walk.last().load(x + walk.at(0));
    }
#pragma unroll
    for (int j = 0; j < kN; ++j) c.pivot[j] = pivot_of(c.pivot[j]);
    return c;
  }
  template <class Part>
  FC_DEVICE Vec<float, kN> read(Part part, int64_t at, int64_t, const Channels&) const {
    return part.load(x + at);
  }
  template <class Part>
  FC_DEVICE void add(Part part, int64_t, const Vec<float, kN>& v, const Channels& c,
                     float* run) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      if (j >= part.count()) continue;
      const float d = v[j] - c.pivot[j];
      run[j] += d;
      run[kN + j] += d * d;
    }
  }
  // around 0 again
  FC_DEVICE void close(const Walk& walk, const Channels& c, double* total) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const double k = c.pivot[j], n = walk.count() + (j < walk.last().count() ? 1 : 0);
      double &sum = total[j * kBlock], &square = total[(kN + j) * kBlock];
      // infinite or NaN as it is: k * infinity may have the other sign
      if (is_finite(square)) square += k * (2 * sum + n * k);
      sum += n * k;
    }
  }
};

struct StoreStats {
  double* sums;
  int64_t channels;
  FC_DEVICE void operator()(int, int c, const double* total) const {
    sums[c] = total[0];
    sums[channels + c] = total[1];
  }
};

}  // namespace

int64_t channel_sums_workspace(int64_t size, int64_t channels) {
  return sums_workspace<float>(1, size, channels, 2);
}

template <class T>
void channel_sum(const T* x, T* y, int64_t rows, int64_t channels, void* workspace, Stream stream) {
  if (channels == 0) return;
  if (rows == 0) return fill_zero(y, channels * sizeof(T), stream);
  with_alignment(
      0,
      [&](auto aligned) {
        sum_columns<T>(Sum<T, decltype(aligned)::value>{x}, StoreSum<T>{y}, 1, rows * channels,
                       channels, workspace, stream);
      },
      x);
}

template <class T>
void channel_stats(const T* x, double* sums, int64_t rows, int64_t channels, void* workspace,
                   Stream stream) {
  if (channels == 0) return;
  if (rows == 0) return fill_zero(sums, 2 * channels * sizeof(double), stream);
  with_alignment(
      0,
      [&](auto aligned) {
        sum_columns<T>(Stats<T, decltype(aligned)::value>{x}, StoreStats{sums, channels}, 1,
                       rows * channels, channels, workspace, stream);
      },
      x);
}

template void channel_sum(const float*, float*, int64_t, int64_t, void*, Stream);
template void channel_stats(const float*, double*, int64_t, int64_t, void*, Stream);

}  // namespace fc::cuda
