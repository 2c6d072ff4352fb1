// The machine's insides, of machine.cpp (launches, blocks, barriers) and exchange.cpp (warps,
// copies).
#pragma once

#include <random>
#include <string>
#include <vector>

#include "emulator/fiber.h"
#include "emulator/machine.h"

namespace fc::emulator {

enum class State { kReady, kBarrier, kCollective, kDone };

struct PendingCopy {
  void* to;
  size_t bytes;
  const void* pc;
  char data[16];
};

struct Thread {
  Fiber fiber;
  State state;
  uint3 index;
  const void* waits_at;                          // barrier or collective
  std::vector<std::vector<PendingCopy>> copies;  // committed groups, the oldest first
  std::vector<PendingCopy> open;                 // the group that is not committed yet
};

// A warp's collective that waits for lanes.
struct Meeting {
  Collective kind;
  unsigned mask = 0, arrived = 0;
  uint64_t values[32], results[32];
  int arguments[32];
  const void* pc;
};

struct Finding {
  bool there = false;
  std::string what, other;
  uint32_t place = 0, other_place = 0;
  int thread = -1;
};

struct Machine {
  Options options;
  const Launch* launch = nullptr;
  void (*body)(const void*) = nullptr;
  std::vector<Thread> threads;
  std::vector<Meeting> meetings;      // one per warp
  std::vector<uint32_t> warp_epochs;  // never go back either
  int threads_of_block = 0;
  std::vector<int> ready;
  Finding finding;
  const void* full_stack_at = nullptr;
  std::mt19937_64 random;
};
Machine& machine();

// The running thread stops here until somebody makes it ready.
void wait_as(State state, const void* pc);

}  // namespace fc::emulator
