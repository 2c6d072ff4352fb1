// What the machine has to run kernels on. Never throws for a missing driver or device.
#pragma once

#include <string>
#include <vector>

namespace fc::cuda {

struct Device {
  std::string name;
  int capability;  // 10 * major + minor
  int multiprocessors;
  size_t shared_bytes;  // that a block may ask for
};

int runtime_version();  // that this module was compiled with: 13000
int driver_version();   // 0: there is no driver
// Empty, and why, if none can be used.
std::vector<Device> devices(std::string& reason);

}  // namespace fc::cuda
