// The algorithms of one op: which fits a problem, and what it runs. Names as in backend/cuda.py.
#pragma once

#include <string>

#include "conv2d.h"
#include "cuda/conv2d/direction.h"
#include "cuda/stream.h"

namespace fc::cuda {

enum class Algorithm { kImplicit, kMatrix, kIm2col, kDepthwise, kGrouped, kStem, kWinograd };

// std::invalid_argument for a name that does not exist or does not fit.
Algorithm parse_algorithm(const std::string& name, const Conv2dProblem& p, Direction direction);

// Bytes that are enough with and without sums in the epilogue.
int64_t conv2d_workspace(const Conv2dProblem& p, Direction direction, Algorithm algorithm);

void conv2d_fwd(const Conv2dProblem& p, Algorithm algorithm, const float* x, const float* w,
                float* y, const Prologue<float>& prologue, const Epilogue<float>& epilogue,
                void* workspace, Stream stream);
void conv2d_dgrad(const Conv2dProblem& p, Algorithm algorithm, const float* gy, const float* w,
                  float* gx, void* workspace, Stream stream);
void conv2d_wgrad(const Conv2dProblem& p, Algorithm algorithm, const float* x, const float* gy,
                  float* gw, const Prologue<float>& prologue, void* workspace, Stream stream);

}  // namespace fc::cuda
