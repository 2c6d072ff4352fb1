// What the emulator finds wrong in a kernel, and how it is told.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace fc::emulator {

// Python sees fastconv.errors.EmulatorError.
class KernelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Location {
  std::string function, file;
  int line = 0;
  std::vector<std::string> callers;  // where the function was inlined, and that one, ...

  // "csrc/cuda/device/warp.h:101, called at csrc/cuda/norm/norm.cu:41"
  std::string text() const;
};

// Code of this module is named by its distance from the module's first byte, which fits 32 bits.
extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));  // the linker's
inline uint32_t code_offset(const void* pc) {
  return static_cast<uint32_t>(static_cast<const char*>(pc) - __ehdr_start);
}

// Source lines of code offsets, by addr2line on the module's debug information. Slow (a process)
// when asked for the first time. Those of calls are return addresses: one byte back is the call.
std::vector<Location> locate(const std::vector<uint32_t>& offsets);
Location locate(uint32_t offset);

// The module's own memory that nobody may write.
bool in_constants(uintptr_t address);

}  // namespace fc::emulator
