// What the memory accesses of kernels cost, per source line: deterministic, unlike time.
//
// The lanes of a warp that execute an instruction the n-th time make one request. Global memory
// answers in sectors of 32 bytes; shared memory in wavefronts: 32 banks of 4 bytes, one word of
// each per wavefront; vector accesses of 8 and 16 bytes go by half and quarter warps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/memory.h"

namespace fc::emulator {

enum class Space { kGlobal, kShared };

struct Counter {
  uint32_t kernel, place;  // code offsets
  Space space;
  AccessKind kind;
  unsigned bytes;     // of one access
  int64_t requests;   // of a warp
  int64_t transfers;  // sectors or wavefronts
  int64_t ideal;      // transfers if the same bytes lay side by side
};

void begin_counting(uint32_t kernel, int threads, size_t shared_bytes);
// The running thread's access.
void count(Space space, uintptr_t address, size_t bytes, AccessKind kind, const void* pc);
// The block's accesses become counters.
void count_block();

std::vector<Counter> counters();

struct KernelCount {
  uint32_t kernel;
  int64_t launches, blocks;
  int threads;          // of a block, the most of a launch
  size_t shared_bytes;  // the most of a launch
};
std::vector<KernelCount> kernel_counts();
void reset_counters();

}  // namespace fc::emulator
