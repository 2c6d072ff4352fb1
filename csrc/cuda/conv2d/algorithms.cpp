#include "cuda/conv2d/algorithms.h"

#include <stdexcept>

#include "cuda/conv2d/im2col.h"
#include "cuda/conv2d/implicit.h"
#include "cuda/gemm/gemm.h"

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

}  // namespace

Algorithm parse_algorithm(const std::string& name, const Conv2dProblem& p) {
  if (name == "implicit") return Algorithm::kImplicit;
  if (name == "im2col") return Algorithm::kIm2col;
  if (name == "1x1" && is_matrix_product(p)) return Algorithm::kMatrix;
  throw std::invalid_argument("algorithm: expected one that fits the problem, came " + name);
}

int64_t conv2d_workspace(const Conv2dProblem& p, Direction direction, Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kMatrix: {
      const GemmSizes sizes = matrix_sizes(p, direction);
      return larger(gemm_workspace(sizes, false), gemm_workspace(sizes, true));
    }
    case Algorithm::kIm2col:
      return im2col_workspace(p, direction);
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
      return im2col_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
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
    default:
      return implicit_wgrad(p, x, gy, gw, prologue, workspace, stream);
  }
}

}  // namespace fc::cuda
