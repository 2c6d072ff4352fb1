// The gradient of y = xhat*gamma + beta, xhat = (x - mean)*rstd, over the last axis of x (rows, C):
//
//   g = gy*gamma;  gx = rstd * (g - mean_c(g) - xhat*mean_c(g*xhat))
//   ggamma = sum over rows of gy*xhat;  gbeta = sum over rows of gy
//
// Ba, Kiros, Hinton 2016, "Layer Normalization", section 3. gx: a team of threads keeps its row of
// g and xhat in registers (team.h). The sums over rows are a pass of their own, by columns
// (sums.h): their accumulators and a row do not fit the registers together.
#include "cuda/channel/sums.h"
#include "cuda/norm/norm.h"
#include "cuda/norm/team.h"

namespace fc::cuda {
namespace {

constexpr int kVectors = 4;

template <class Team, class T>
__global__ void __launch_bounds__(kBlock)
    input_gradient_kernel(const T* gy, const T* x, const float* gamma, const float* mean,
                          const float* rstd, T* gx, int64_t rows, int channels) {
  constexpr int kN = Team::kN;
  using Values = Vec<float, kN>;
  struct Pair {
    Values g, xhat;
  };
  float* scratch = shared_memory<float>();
  const Team team(rows, channels);
  const float center = team.there ? mean[team.row] : 0, scale = team.there ? rstd[team.row] : 0;
  gy += team.row * channels, x += team.row * channels, gx += team.row * channels;

  Pair held[Team::kHeld];
  const auto read = [&](int c) {
    Pair p{widen(load<kN>(gy + c)), widen(load<kN>(x + c))};
#pragma unroll
    for (int j = 0; j < kN; ++j) p.xhat[j] = (p.xhat[j] - center) * scale;
    if (gamma) {
      const Values v = load<kN>(gamma + c);
#pragma unroll
      for (int j = 0; j < kN; ++j) p.g[j] *= v[j];
    }
    return p;
  };
  if constexpr (Team::kVectors > 0) team.for_vectors([&](int i, int c) { held[i] = read(c); });
  const auto values = [&](int i, int c) {
    if constexpr (Team::kVectors > 0) return held[i];
    return read(c);
  };

  float sum = 0, product = 0;
  team.for_vectors([&](int i, int c) {
    const Pair p = values(i, c);
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      sum += p.g[j];
      product += p.g[j] * p.xhat[j];
    }
  });
  const float offset = team.sum(sum, scratch) / static_cast<float>(channels);
  const float tilt = team.sum(product, scratch) / static_cast<float>(channels);
  team.for_vectors([&](int i, int c) {
    Pair p = values(i, c);
#pragma unroll
    for (int j = 0; j < kN; ++j) p.g[j] = scale * (p.g[j] - offset - p.xhat[j] * tilt);
    store(gx + c, narrow<T>(p.g));
  });
}

template <class T, bool kAlignedAll>
struct ParameterSums {
  static constexpr int kN = kVector<T>, kBatch = 2, kSums = 2;
  static constexpr bool kAligned = kAlignedAll;
  using Walk = ColumnWalk<kN, kAligned>;
  using Values = Vec<float, kN>;
  struct Channels {
    int row[kN];  // in its stripe, of each element of a vector
  };
  struct Loaded {
    Values gy, xhat;
  };

  const T *gy, *x;
  const float *mean, *rstd;

  FC_DEVICE Channels channels(const Walk& walk) const {
    Channels c;
#pragma unroll
    for (int j = 0; j < kN; ++j) c.row[j] = walk.row_in_stripe(j);
    return c;
  }
  template <class Part>
  FC_DEVICE Loaded read(Part part, int64_t at, int64_t row, const Channels& c) const {
    Loaded v{part.load(gy + at), part.load(x + at)};
    float center = mean[row + c.row[0]], scale = rstd[row + c.row[0]];
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      if (j >= part.count()) continue;
      if (c.row[j] != c.row[0]) center = mean[row + c.row[j]], scale = rstd[row + c.row[j]];
      v.xhat[j] = (v.xhat[j] - center) * scale;
    }
    return v;
  }
  template <class Part>
  FC_DEVICE void add(Part part, int64_t, const Loaded& v, const Channels&, float* run) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      if (j >= part.count()) continue;
      run[j] += v.gy[j];
      run[kN + j] += v.gy[j] * v.xhat[j];
    }
  }
  FC_DEVICE void close(const Walk&, const Channels&, double*) const {}
};

struct StoreSums {
  float *gbeta, *ggamma;
  FC_DEVICE void operator()(int, int c, const double* total) const {
    if (gbeta) gbeta[c] = static_cast<float>(total[0]);
    if (ggamma) ggamma[c] = static_cast<float>(total[1]);
  }
};

}  // namespace

int64_t layer_norm_bwd_workspace(int64_t rows, int64_t channels) {
  return sums_workspace<float>(1, rows * channels, channels, 2);
}

template <class T>
void layer_norm_bwd(const LayerNormGrad<T>& a, void* workspace, Stream stream) {
  const int64_t size = a.rows * a.channels;
  if (size == 0) {
    if (a.channels && a.gbeta) fill_zero(a.gbeta, a.channels * sizeof(float), stream);
    if (a.channels && a.ggamma) fill_zero(a.ggamma, a.channels * sizeof(float), stream);
    return;
  }
  if (a.gx) {
    with_row_vectors<T>(
        a.channels,
        [&](auto elements) {
          with_team<kVectors, decltype(elements)::value>(a.channels, [&](auto team) {
            using Team = typename decltype(team)::type;
            launch(input_gradient_kernel<Team, T>, blocks_for(a.rows, Team::kRows), kBlock,
                   kTeamScratch, stream, a.gy, a.x, a.gamma, a.mean, a.rstd, a.gx, a.rows,
                   static_cast<int>(a.channels));
          });
        },
        a.gamma, nullptr, a.gy, a.x, a.gx);
  }
  if (!a.gbeta && !a.ggamma) return;
  with_alignment(
      0,
      [&](auto aligned) {
        sum_columns<T>(ParameterSums<T, decltype(aligned)::value>{a.gy, a.x, a.mean, a.rstd},
                       StoreSums{a.gbeta, a.ggamma}, 1, size, a.channels, workspace, stream);
      },
      a.gy, a.x);
}

template void layer_norm_bwd(const LayerNormGrad<float>&, void*, Stream);

}  // namespace fc::cuda
