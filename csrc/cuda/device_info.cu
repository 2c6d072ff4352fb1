#include <cuda_runtime.h>

#include "cuda/device_info.h"

namespace fc::cuda {

int runtime_version() { return CUDART_VERSION; }

int driver_version() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

std::vector<Device> devices(std::string& reason) {
  std::vector<Device> found;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    reason = cudaGetErrorString(status);
    cudaGetLastError();  // the next launch shall not find it
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    found.push_back(
        {p.name, 10 * p.major + p.minor, p.multiProcessorCount, p.sharedMemPerBlockOptin});
  }
  return found;
}

}  // namespace fc::cuda
