#include "cuda/conv2d/algorithms.h"

#include <stdexcept>

#include "cuda/channel/channel.h"
#include "cuda/conv2d/im2col.h"
#include "cuda/conv2d/implicit.h"
#include "cuda/depthwise/depthwise.h"
#include "cuda/elementwise/elementwise.h"
#include "cuda/gemm/gemm.h"
#include "cuda/grouped/grouped.h"
#include "cuda/stem/stem.h"
#include "cuda/winograd/winograd.h"

namespace fc::cuda {
namespace {

bool is_matrix_product(const Conv2dProblem& p) {
  return p.r == 1 && p.s == 1 && p.groups == 1 && p.stride_h == 1 && p.stride_w == 1 &&
         p.p == p.h && p.q == p.w && p.pad_top == 0 && p.pad_left == 0;
}

// The products of a 1x1 convolution: y = x w', gx = gy w, gw = gy' x.
GemmSizes matrix_sizes(const Conv2dProblem& p, Direction direction) {
  const int64_t pixels = p.n * p.h * p.w;
  if (direction == Direction::kFwd) return {pixels, p.k, p.c, false, true};
  if (direction == Direction::kDgrad) return {pixels, p.c, p.k, false, false};
  return {p.k, p.c, pixels, true, false};
}

int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }

// The product of every batch of images has its own epilogue, so sums over all of them are a pass of
// their own, and what comes after the sums another.
void im2col_fwd_with_sums(const Conv2dProblem& p, const float* x, const float* w, float* y,
                          const Prologue<float>& prologue, const Epilogue<float>& epilogue,
                          void* workspace, Stream stream) {
  Epilogue<float> before;
  before.scale = epilogue.scale;
  before.shift = epilogue.shift;
  im2col_fwd(p, x, w, y, prologue, before, workspace, stream);
  const int64_t rows = p.n * p.p * p.q;
  channel_stats(y, epilogue.sums, rows, p.k, workspace, stream);
  if (epilogue.residual) {
    add(y, epilogue.residual, y, rows * p.k, epilogue.act, stream);
  } else if (epilogue.act.code != kIdentity) {
    activation_fwd(y, y, rows * p.k, epilogue.act, stream);
  }
}

}  // namespace

Algorithm parse_algorithm(const std::string& name, const Conv2dProblem& p, Direction direction) {
  if (name == "implicit") return Algorithm::kImplicit;
  if (name == "im2col") return Algorithm::kIm2col;
  if (name == "depthwise" && p.groups == p.c && p.k == p.c) return Algorithm::kDepthwise;
  if (name == "grouped" && grouped_fits(p)) return Algorithm::kGrouped;
  if (name == "winograd" && direction != Direction::kWgrad && winograd_fits(p))
    return Algorithm::kWinograd;
  if (name == "stem" && direction != Direction::kDgrad && is_stem(p)) return Algorithm::kStem;
  if (name == "1x1" && is_matrix_product(p)) return Algorithm::kMatrix;
  throw std::invalid_argument("algorithm: expected one that fits the problem and direction, came " +
                              name);
}

int64_t conv2d_workspace(const Conv2dProblem& p, Direction direction, Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kMatrix: {
      const GemmSizes sizes = matrix_sizes(p, direction);
      return larger(gemm_workspace(sizes, false), gemm_workspace(sizes, true));
    }
    case Algorithm::kIm2col: {
      const int64_t bytes = im2col_workspace(p, direction);
      if (direction != Direction::kFwd) return bytes;
      return larger(bytes, channel_sums_workspace(p.n * p.p * p.q * p.k, p.k));
    }
    case Algorithm::kDepthwise:
      return larger(depthwise_workspace(p, direction, false),
                    depthwise_workspace(p, direction, true));
    case Algorithm::kGrouped:
      return larger(grouped_workspace(p, direction, false), grouped_workspace(p, direction, true));
    case Algorithm::kWinograd:
      return winograd_workspace(p, direction, direction == Direction::kFwd);
    case Algorithm::kStem:
      return stem_workspace(p, direction);
    default:
      return larger(implicit_workspace(p, direction, false),
                    implicit_workspace(p, direction, true));
  }
}

void conv2d_fwd(const Conv2dProblem& p, Algorithm algorithm, const float* x, const float* w,
                float* y, const Prologue<float>& prologue, const Epilogue<float>& epilogue,
                void* workspace, Stream stream) {
  switch (algorithm) {
    case Algorithm::kMatrix:
      return gemm(matrix_sizes(p, Direction::kFwd), x, w, y, prologue, false, epilogue, workspace,
                  stream);
    case Algorithm::kIm2col:
      return (epilogue.sums ? im2col_fwd_with_sums
                            : im2col_fwd<float>)(p, x, w, y, prologue, epilogue, workspace, stream);
    case Algorithm::kDepthwise:
      return depthwise_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
    case Algorithm::kGrouped:
      return grouped_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
    case Algorithm::kWinograd:
      return winograd_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
    case Algorithm::kStem:
      return stem_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
    default:
      return implicit_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
  }
}

void conv2d_dgrad(const Conv2dProblem& p, Algorithm algorithm, const float* gy, const float* w,
                  float* gx, void* workspace, Stream stream) {
  switch (algorithm) {
    case Algorithm::kMatrix:
      return gemm<float>(matrix_sizes(p, Direction::kDgrad), gy, w, gx, {}, false, {}, workspace,
                         stream);
    case Algorithm::kIm2col:
      return im2col_dgrad(p, gy, w, gx, workspace, stream);
    case Algorithm::kDepthwise:
      return depthwise_dgrad(p, gy, w, gx, workspace, stream);
    case Algorithm::kGrouped:
      return grouped_dgrad(p, gy, w, gx, workspace, stream);
    case Algorithm::kWinograd:
      return winograd_dgrad(p, gy, w, gx, workspace, stream);
    default:
      return implicit_dgrad(p, gy, w, gx, workspace, stream);
  }
}

void conv2d_wgrad(const Conv2dProblem& p, Algorithm algorithm, const float* x, const float* gy,
                  float* gw, const Prologue<float>& prologue, void* workspace, Stream stream) {
  switch (algorithm) {
    case Algorithm::kMatrix:
      return gemm<float>(matrix_sizes(p, Direction::kWgrad), gy, x, gw, prologue, true, {},
                         workspace, stream);
    case Algorithm::kIm2col:
      return im2col_wgrad(p, x, gy, gw, prologue, workspace, stream);
    case Algorithm::kDepthwise:
      return depthwise_wgrad(p, x, gy, gw, prologue, workspace, stream);
    case Algorithm::kGrouped:
      return grouped_wgrad(p, x, gy, gw, prologue, workspace, stream);
    case Algorithm::kStem:
      return stem_wgrad(p, x, gy, gw, prologue, workspace, stream);
    default:
      return implicit_wgrad(p, x, gy, gw, prologue, workspace, stream);
  }
}

}  // namespace fc::cuda
