// The weight gradient of the lane kernels, for their table.
#pragma once

#include "cpu/lanes.h"

namespace fc::FC_ISA {

int64_t lanes_wgrad_workspace(const Conv2dProblem& p, int threads, float);
int64_t lanes_wgrad_workspace(const Conv2dProblem& p, int threads, double);
void lanes_wgrad(const Conv2dProblem& p, const float* x, const float* gy, float* gw, int threads,
                 void* workspace, const Prologue<float>& prologue);
void lanes_wgrad(const Conv2dProblem& p, const double* x, const double* gy, double* gw, int threads,
                 void* workspace, const Prologue<double>& prologue);

}  // namespace fc::FC_ISA
