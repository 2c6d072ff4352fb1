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

  std::string text() const;  // "csrc/cuda/pool/max_pool.cu:41"
};

// Code of this module is named by its distance from the module's first byte, which fits 32 bits.
uint32_t code_offset(const void* pc);

// Source lines of code offsets, by addr2line on the module's debug information. Slow (a process).
// Those of calls are return addresses: one byte back is still the call.
std::vector<Location> locate(const std::vector<uint32_t>& offsets);
Location locate(uint32_t offset);

// The memory of the module itself (code, constants, static variables).
bool in_module(uintptr_t address);

}  // namespace fc::emulator
