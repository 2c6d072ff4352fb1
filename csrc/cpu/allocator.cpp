#include "cpu/allocator.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

namespace fc {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kAddressSpace = size_t{1} << 47;
// size classes per power of two: at most 1/64 of a block is unused, and a network's steps ask for
// the same sizes again and again, so that fine classes are hit as often as coarse ones
constexpr int kLogSteps = 6;
constexpr int kSteps = 1 << kLogSteps;
constexpr int kClasses = 64 * kSteps;

struct SizeClass {
  int index;
  size_t bytes;
};

SizeClass size_class(size_t bytes) {
  const size_t units = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment;
  if (units <= kSteps) return {static_cast<int>(units), units * kAlignment};
  const int shift = 63 - __builtin_clzll(units - 1) - kLogSteps;
  const size_t steps = ((units - 1) >> shift) + 1;  // kSteps + 1 .. 2 * kSteps
  return {static_cast<int>(shift * kSteps + steps), (steps << shift) * kAlignment};
}

struct State {
  std::mutex mutex;
  std::vector<void*> free_blocks[kClasses];
  MemoryStats stats{};

  void drop_cache() {
    for (std::vector<void*>& blocks : free_blocks) {
      for (void* block : blocks) ::free(block);
      blocks.clear();
    }
    stats.cached_bytes = 0;
  }
};

// Never destroyed: arrays may outlive every static object.
State* state = new State;

// fork waits until no other thread is inside the allocator, so the child's copy is whole. The child
// drops the cache: it would copy each cached page on first use instead of getting a fresh one.
void before_fork() { state->mutex.lock(); }
void after_fork_in_parent() { state->mutex.unlock(); }
void after_fork_in_child() {
  state->mutex.unlock();
  state->drop_cache();
}
const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

// Large blocks ask for huge pages: a pass over several arrays at once is otherwise slowed down by
// looking up pages, and 2 MiB are cleared in one page fault instead of 512.
constexpr size_t kHugePage = size_t{2} << 20;

void* system_block(size_t bytes) {
  void* block = nullptr;
  const bool large = bytes >= 2 * kHugePage;
  if (posix_memalign(&block, large ? kHugePage : kAlignment, bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  if (large) madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: may fail
#endif
  return block;
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > kAddressSpace) throw std::bad_alloc();
  const SizeClass size = size_class(bytes);
  std::lock_guard<std::mutex> lock(state->mutex);
  std::vector<void*>& blocks = state->free_blocks[size.index];
  MemoryStats& stats = state->stats;
  void* block;
  if (!blocks.empty()) {
    block = blocks.back();
    blocks.pop_back();
    stats.cached_bytes -= size.bytes;
  } else {
    block = system_block(size.bytes);
    if (!block) {  // what is cached in other sizes may be enough
      state->drop_cache();
      block = system_block(size.bytes);
    }
    if (!block) throw std::bad_alloc();
    ++stats.allocations;
  }
  stats.live_bytes += size.bytes;
  stats.peak_bytes = std::max(stats.peak_bytes, stats.live_bytes);
  return block;
}

void release(void* block, size_t bytes) noexcept {
  const SizeClass size = size_class(bytes);
  std::lock_guard<std::mutex> lock(state->mutex);
  state->stats.live_bytes -= size.bytes;
  try {
    state->free_blocks[size.index].push_back(block);
    state->stats.cached_bytes += size.bytes;
  } catch (...) {  // no memory for the list itself
    ::free(block);
  }
}

MemoryStats memory_stats() {
  std::lock_guard<std::mutex> lock(state->mutex);
  return state->stats;
}

void reset_peak_memory() {
  std::lock_guard<std::mutex> lock(state->mutex);
  state->stats.peak_bytes = state->stats.live_bytes;
}

void empty_cache() {
  std::lock_guard<std::mutex> lock(state->mutex);
  state->drop_cache();
}

}  // namespace fc
