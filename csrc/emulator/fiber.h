// Stacks that take turns on one thread of the host: each CUDA thread of a block runs on one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fc::emulator {

// Switches stacks: the caller's registers stay on its stack, whose pointer goes to *from.
// Fiber::prepare makes a stack pointer that begins in entry().
class Fiber {
 public:
  static constexpr size_t kStackBytes = size_t{128} << 10;
  static constexpr int kMost = 1024;

  // The memory of all stacks: accesses inside it are threads' own variables.
  static uintptr_t stacks_begin() { return stacks_begin_; }
  static constexpr size_t stacks_bytes() { return kStackBytes * kMost; }
  // Whose stack.
  static int at(uintptr_t address) {
    return static_cast<int>((address - stacks_begin_) / kStackBytes);
  }

  // A stack that begins in entry(), which must never return.
  void prepare(int index, void (*entry)());

  // From the host to this fiber; returns when it calls leave().
  void enter();
  // From the running fiber to the host.
  static void leave();

 private:
  static uintptr_t stacks_begin_;

  int index_ = 0;
  void* context_ = nullptr;
};

// While it lives, a fiber whose stack is full calls found(pc), which must leave(), instead of
// ending the process.
class StackWatch {
 public:
  explicit StackWatch(void (*found)(const void* pc));
  ~StackWatch();
  StackWatch(const StackWatch&) = delete;
};

}  // namespace fc::emulator
