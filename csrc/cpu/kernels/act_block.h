// Activations on contiguous blocks. Other kernels apply them to tiles that lie in the L1 cache.
#pragma once

#include <cstdint>

#include "activation.h"

namespace fc::FC_ISA {

// y = act(x); y may be x
void act_block(const float* x, float* y, int64_t n, const Activation& act);
void act_block(const double* x, double* y, int64_t n, const Activation& act);

// gx = gy * act'; saved is y or x, as activation.py's table says; gx may be gy or saved
void act_grad_block(const float* gy, const float* saved, float* gx, int64_t n,
                    const Activation& act);
void act_grad_block(const double* gy, const double* saved, double* gx, int64_t n,
                    const Activation& act);

}  // namespace fc::FC_ISA
