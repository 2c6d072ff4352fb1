// Runs a kernel: block after block, the threads of a block as fibers that take turns at barriers
// and warp collectives. One launch at a time in a process.
#pragma once

#include <cstdint>
#include <string>

#include "emulator/platform.h"
#include "emulator/report.h"

namespace fc::emulator {

// In which order threads (and blocks) that can run are taken.
enum class Schedule { kFifo, kLifo, kRandom };

struct Options {
  Schedule schedule = Schedule::kFifo;
  uint64_t seed = 0;          // of kRandom
  bool eager_copies = false;  // cp.async lands when issued, not when waited for
  bool count = false;         // see counters.h
  size_t shared_limit = size_t{99} << 10;
};
Options& options();

struct Launch {
  uint32_t kernel;  // code offset
  dim3 grid, block;
  size_t shared_bytes;
  const void* arguments;
  size_t arguments_bytes;
};

// Calls body(arguments) as every thread of the launch; KernelError if anything is wrong.
void run(const Launch& launch, void (*body)(const void* arguments));

// ---- of the thread that runs now; memory.cpp and counters.cpp ask

struct Clock {
  // counts blocks and barriers of the whole process
  uint32_t epoch = 1;
  uint32_t block_began = 1, launch_began = 1;
};

struct Now {
  bool kernel = false;  // runs, not the host
  bool count = false;   // the launch's accesses
  int thread = 0;
  uint32_t warp_epoch = 1;  // counts __syncwarp of the thread's warp
  Clock clock;
};
extern Now now;

inline bool running() { return now.kernel; }
bool in_arguments(uintptr_t address);  // of the launch
bool in_indices(uintptr_t address);    // threadIdx and its like

// Ends the launch: what is wrong, at this place. Does not return.
[[noreturn]] void stop(const std::string& what, const void* pc);
[[noreturn]] void stop(const std::string& what, const void* pc, const std::string& other,
                       uint32_t other_place);

// ---- what the twins of the warp instructions call

// Every lane of the mask brings an operand; the last one to arrive gives each its result.
enum class Collective { kSyncwarp, kShuffle, kShuffleXor, kShuffleDown, kShuffleUp, kBallot };
uint64_t collective(Collective kind, unsigned mask, uint64_t value, int argument, const void* pc);

// cp.async of the running thread
void issue_copy(void* to, const void* from, size_t bytes, size_t valid, const void* pc);
void commit_copies();
void wait_copies(int groups_left);

// an atomic's access, checked; the caller then does it
void atomic_access(void* p, size_t bytes, const void* pc);

}  // namespace fc::emulator
