// The gradient of y = act(z), z = (x - mean)*(gamma*rstd) + beta + residual; x (rows, C):
//
//   gz = gy * act';  gresidual = gz;  gbeta = sum gz;  ggamma = sum gz*xhat,  xhat = (x -
//   mean)*rstd training   gx = gamma*rstd * (gz - gbeta/rows - xhat*ggamma/rows) else       gx =
//   gamma*rstd * gz
//
// act' is taken from y, or at z computed again. Ioffe and Szegedy 2015, section 3.
//
// The first pass adds up (sums.h) and stores what needs no sums: gresidual, and gx if not training.
// The second is for gx in training; it takes gz from gresidual if that was stored, and walks the
// other way round, so that it begins with what the first one left in the cache. Without sums to
// take there is one pass.
#include "cuda/channel/sums.h"
#include "cuda/elementwise/act_backward.h"
#include "cuda/norm/norm.h"
#include "cuda/norm/normalise.h"

namespace fc::cuda {
namespace {

// What both passes read: gy, x where it is needed, and what act' is taken from.
template <class T, bool kAlignedAll, int kCode>
struct Gradient {
  static constexpr int kN = kVector<T>, kBatch = 2;
  static constexpr bool kAligned = kAlignedAll;
  using Values = Vec<float, kN>;
  using Channels = ChannelNorm<kN>;
  struct Loaded {
    Values gy, x, more;
  };

  const T *gy, *x, *y, *residual;  // all but gy may be null
  BatchNormParameters parameters;
  float alpha, beta;

  template <class Part>
  FC_DEVICE Loaded read(Part part, int64_t at) const {
    Loaded v{part.load(gy + at), Values::all(0), Values::all(0)};
    if (x) v.x = part.load(x + at);
    if constexpr (kCode != kIdentity) {
      const T* more = y ? y : residual;
      if (more) v.more = part.load(more + at);
    }
    return v;
  }
  FC_DEVICE Values of_z(const Loaded& v, const Channels& norm) const {
    Values gz;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const float saved = y ? v.more[j] : norm(j, v.x[j]) + v.more[j];
      gz[j] = act_backward<kCode>(v.gy[j], saved, alpha, beta);
    }
    return gz;
  }
};

template <int kN>
FC_DEVICE Vec<float, kN> scaled(const Vec<float, kN>& gz, const ChannelNorm<kN>& norm) {
  Vec<float, kN> v;
#pragma unroll
  for (int j = 0; j < kN; ++j) v[j] = gz[j] * norm.scale[j];
  return v;
}

// ---- first pass: sum gz, sum gz*(x - mean)

template <class G, class T>
struct Sums {
  static constexpr int kN = G::kN, kBatch = G::kBatch, kSums = 2;
  static constexpr bool kAligned = G::kAligned;
  using Walk = ColumnWalk<kN, kAligned>;
  using Channels = typename G::Channels;
  using Loaded = typename G::Loaded;

  G gradient;
  T *gresidual, *gx;  // may be null

  FC_DEVICE Channels channels(const Walk& walk) const {
    return Channels(walk, gradient.parameters);
  }
  template <class Part>
  FC_DEVICE Loaded read(Part part, int64_t at, int64_t, const Channels&) const {
    return gradient.read(part, at);
  }
  template <class Part>
  FC_DEVICE void add(Part part, int64_t at, const Loaded& v, const Channels& norm,
                     float* run) const {
    const auto gz = gradient.of_z(v, norm);
    if (gresidual) part.store(gresidual + at, gz);
    if (gx) part.store(gx + at, scaled(gz, norm));
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      if (j >= part.count()) continue;
      run[j] += gz[j];
      run[kN + j] += gz[j] * (v.x[j] - norm.mean[j]);
    }
  }
  FC_DEVICE void close(const Walk&, const Channels&, double*) const {}
};

// Per channel, for the second pass: the means of gz and of gz*xhat, the latter times rstd.
struct Coefficients {
  float *offset, *slope;  // null: not training
};

struct StoreSums {
  float *gbeta, *ggamma;
  Coefficients coefficients;
  const float* rstd;
  double rows;

  FC_DEVICE void operator()(int, int c, const double* total) const {
    const double r = rstd[c], sum_gz_xhat = total[1] * r;
    if (gbeta) gbeta[c] = static_cast<float>(total[0]);
    if (ggamma) ggamma[c] = static_cast<float>(sum_gz_xhat);
    if (coefficients.offset) {
      coefficients.offset[c] = static_cast<float>(total[0] / rows);
      coefficients.slope[c] = static_cast<float>(sum_gz_xhat * r / rows);
    }
  }
};

// ---- second pass, or the only one

template <class G, class T>
struct InputGradient {
  static constexpr int kN = G::kN, kBatch = G::kBatch;
  static constexpr bool kAligned = G::kAligned;
  using Loaded = typename G::Loaded;
  struct Channels {
    typename G::Channels norm;
    Vec<float, kN> offset, slope;
  };

  G gradient;
  Coefficients coefficients;
  T *gresidual, *gx;  // may be null

  template <class Walk>
  FC_DEVICE Channels channels(const Walk& walk) const {
    return {typename G::Channels(walk, gradient.parameters),
            walk.of_channels(coefficients.offset, 0), walk.of_channels(coefficients.slope, 0)};
  }
  template <class Part>
  FC_DEVICE Loaded read(Part part, int64_t at) const {
    return gradient.read(part, at);
  }
  template <class Part>
  FC_DEVICE void use(Part part, int64_t at, const Loaded& v, const Channels& c) const {
    auto gz = gradient.of_z(v, c.norm);
    if (gresidual) part.store(gresidual + at, gz);
    if (!gx) return;
    if (coefficients.offset) {
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        gz[j] -= c.offset[j] + (v.x[j] - c.norm.mean[j]) * c.slope[j];
      }
    }
    part.store(gx + at, scaled(gz, c.norm));
  }
};

int64_t partial_bytes(int64_t size, int64_t channels) {
  return sums_workspace<float>(1, size, channels, 2);
}

// f(what reads gy, and x if wanted)
template <class T, int kCode, class F>
void with_gradient(const BatchNormGrad<T>& a, const T* gy, bool x, F f) {
  with_alignment(
      0,
      [&](auto aligned) {
        f(Gradient<T, decltype(aligned)::value, kCode>{gy,
                                                       x ? a.x : nullptr,
                                                       a.y,
                                                       a.residual,
                                                       {a.mean, a.rstd, a.gamma, a.beta},
                                                       static_cast<float>(a.act.alpha),
                                                       static_cast<float>(a.act.beta)});
      },
      a.gy, a.x, a.y, a.residual, a.gx, a.gresidual);
}

template <class T, int kCode>
void backward(const BatchNormGrad<T>& a, void* workspace, Stream stream) {
  const int64_t size = a.rows * a.channels;
  const bool at_z = kCode != kIdentity && !a.y, through_statistics = a.gx && a.training;
  Coefficients coefficients{nullptr, nullptr};
  T* gresidual = a.gresidual;
  if (a.gbeta || a.ggamma || through_statistics) {
    if (through_statistics) {
      auto* after = static_cast<char*>(workspace) + partial_bytes(size, a.channels);
      coefficients.offset = reinterpret_cast<float*>(after);
      coefficients.slope = coefficients.offset + a.channels;
    }
    const StoreSums finish{a.gbeta, a.ggamma, coefficients, a.rstd, static_cast<double>(a.rows)};
    with_gradient<T, kCode>(a, a.gy, at_z || a.ggamma || through_statistics, [&](const auto& g) {
      const Sums<std::decay_t<decltype(g)>, T> sums{g, gresidual, a.training ? nullptr : a.gx};
      sum_columns<T>(sums, finish, 1, size, a.channels, workspace, stream);
    });
    if (!through_statistics) return;
    gresidual = nullptr;
  }
  const auto second = [&](const auto& g) {
    const InputGradient<std::decay_t<decltype(g)>, T> gradient{g, coefficients, gresidual, a.gx};
    map_columns<T>(gradient, 1, size, a.channels, stream);
  };
  if (through_statistics && a.gresidual) {
    with_gradient<T, kIdentity>(a, a.gresidual, true, second);
  } else {
    with_gradient<T, kCode>(a, a.gy, at_z || through_statistics, second);
  }
}

}  // namespace

int64_t batch_norm_bwd_workspace(int64_t size, int64_t channels) {
  return partial_bytes(size, channels) + 2 * channels * static_cast<int64_t>(sizeof(float));
}

template <class T>
void batch_norm_bwd(const BatchNormGrad<T>& a, void* workspace, Stream stream) {
  if (a.channels == 0 || !(a.gx || a.gresidual || a.ggamma || a.gbeta)) return;
  if (a.rows == 0) {
    if (a.gbeta) fill_zero(a.gbeta, a.channels * sizeof(float), stream);
    if (a.ggamma) fill_zero(a.ggamma, a.channels * sizeof(float), stream);
    return;
  }
  with_act(a.act.code,
           [&](auto code) { backward<T, decltype(code)::value>(a, workspace, stream); });
}

template void batch_norm_bwd(const BatchNormGrad<float>&, void*, Stream);

}  // namespace fc::cuda
