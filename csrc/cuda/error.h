// The error of a call of the CUDA runtime, for host code that no CUDA header reaches.
#pragma once

#include <stdexcept>

namespace fc::cuda {

// Python sees fastconv.errors.DeviceError.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace fc::cuda
