// Test kernels that Python calls by name (library.py): each file of kernels registers functions
// that launch them.
#pragma once

#include <cstdint>

#include "cuda/device/launch.h"

namespace fc::selftest {

constexpr int kMostArguments = 8;

struct Arguments {
  void* arrays[kMostArguments];  // device memory
  int64_t numbers[kMostArguments];

  template <class T>
  T* array(int i) const {
    return static_cast<T*>(arrays[i]);
  }
  int number(int i) const { return static_cast<int>(numbers[i]); }
};

using Function = void (*)(const Arguments&);

struct Register {
  Register(const char* name, Function function);
};

}  // namespace fc::selftest
