// Layer normalisation over the last axis of x (rows, C):
//
//   mean = sum x / C;  var = sum (x - mean)^2 / C;  rstd = 1/sqrt(var + eps)
//   y = (x - mean)*rstd*gamma + beta
//
// Ba, Kiros, Hinton 2016, "Layer Normalization", section 3. A team of threads (team.h) keeps its
// row in registers: one read, one write. The mean in float32 is off by its last digit, which at a
// mean of 1e4 is seen beside a spread of 1: so the mean of what is left, x - mean, is taken off,
// too.
#include "cuda/channel/pivot.h"
#include "cuda/device/dtype.h"
#include "cuda/norm/norm.h"
#include "cuda/norm/team.h"

namespace fc::cuda {
namespace {

constexpr int kVectors = 8;

template <class Team, class T>
__global__ void __launch_bounds__(kBlock)
    forward_kernel(const T* x, const float* gamma, const float* beta, T* y, float* mean,
                   float* rstd, int64_t rows, int channels, float eps) {
  constexpr int kN = Team::kN;
  using Values = Vec<float, kN>;
  float* scratch = shared_memory<float>();
  const Team team(rows, channels);
  x += team.row * channels, y += team.row * channels;
  Values held[Team::kHeld];
  const auto read = [&](int c) { return widen(load<kN>(x + c)); };
  if constexpr (Team::kVectors > 0) team.for_vectors([&](int i, int c) { held[i] = read(c); });
  const auto values = [&](int i, int c) {
    if constexpr (Team::kVectors > 0) return held[i];
    return read(c);
  };

  float sum = 0;
  team.for_vectors([&](int i, int c) {
    const Values v = values(i, c);
#pragma unroll
    for (int j = 0; j < kN; ++j) sum += v[j];
  });
  const float rough = team.sum(sum, scratch) / static_cast<float>(channels);
  float rest = 0, squares = 0;
  team.for_vectors([&](int i, int c) {
    const Values v = values(i, c);
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const float d = v[j] - rough;
      rest += d;
      squares += d * d;
    }
  });
  const float shift = team.sum(rest, scratch) / static_cast<float>(channels);
  const float var = team.sum(squares, scratch) / static_cast<float>(channels) - shift * shift;
  const float scale = 1 / sqrtf((var < 0 ? 0 : var) + eps);
  if (team.there && team.member == 0) {
    mean[team.row] = is_finite(rough) ? rough + shift : rough;
    rstd[team.row] = scale;
  }
  team.for_vectors([&](int i, int c) {
    Values v = values(i, c);
#pragma unroll
    for (int j = 0; j < kN; ++j) v[j] = (v[j] - rough - shift) * scale;
    if (gamma) {
      const Values g = load<kN>(gamma + c);
#pragma unroll
      for (int j = 0; j < kN; ++j) v[j] *= g[j];
    }
    if (beta) {
      const Values b = load<kN>(beta + c);
#pragma unroll
      for (int j = 0; j < kN; ++j) v[j] += b[j];
    }
    store(y + c, narrow<T>(v));
  });
}

// of no channels: the mean of nothing is 0, as the reference has it
__global__ void __launch_bounds__(kBlock)
    empty_rows_kernel(float* mean, float* rstd, int64_t rows, float eps) {
  const int64_t row = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row >= rows) return;
  mean[row] = 0;
  rstd[row] = 1 / sqrtf(eps);
}

}  // namespace

template <class T>
void layer_norm_fwd(const T* x, const float* gamma, const float* beta, T* y, float* mean,
                    float* rstd, int64_t rows, int64_t channels, double eps, Stream stream) {
  if (rows == 0) return;
  if (channels == 0) {
    launch(empty_rows_kernel, blocks_for(rows), kBlock, 0, stream, mean, rstd, rows,
           static_cast<float>(eps));
    return;
  }
  with_row_vectors<T>(
      channels,
      [&](auto elements) {
        with_team<kVectors, decltype(elements)::value>(channels, [&](auto team) {
          using Team = typename decltype(team)::type;
          launch(forward_kernel<Team, T>, blocks_for(rows, Team::kRows), kBlock, kTeamScratch,
                 stream, x, gamma, beta, y, mean, rstd, rows, static_cast<int>(channels),
                 static_cast<float>(eps));
        });
      },
      gamma, beta, x, y);
}

template void layer_norm_fwd(const float*, const float*, const float*, float*, float*, float*,
                             int64_t, int64_t, double, Stream);

}  // namespace fc::cuda
