// FC_CHECK(call): an error of the CUDA runtime becomes an exception that names the call and its
// place.
#pragma once

#include <string>

#include "cuda/device/platform.h"
#include "cuda/error.h"

#ifdef __CUDACC__

namespace fc::cuda {

inline void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  throw CudaError(std::string(cudaGetErrorString(status)) + " (" + cudaGetErrorName(status) +
                  ") in " + call + ", " + file + ":" + std::to_string(line));
}

}  // namespace fc::cuda

#define FC_CHECK(call) ::fc::cuda::check((call), #call, __FILE__, __LINE__)

#endif
