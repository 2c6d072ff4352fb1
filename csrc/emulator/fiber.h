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

  // The memory of all stacks: accesses inside it are a thread's own variables.
  static uintptr_t stacks_begin();
  static constexpr size_t stacks_bytes() { return kStackBytes * kMost; }

  // A stack that begins in entry(), which must never return.
  void prepare(int index, void (*entry)());

  // From the host to this fiber; returns when it calls leave().
  void enter();
  // From the running fiber to the host.
  static void leave();

  // Whether the stack's last bytes were overwritten.
  bool overflowed() const;

 private:
  int index_ = 0;
  void* context_ = nullptr;
};

}  // namespace fc::emulator
