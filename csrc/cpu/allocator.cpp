#include "cpu/allocator.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>

#include "cpu/memory_checker.h"
#include "cpu/ranges.h"

namespace fc {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kAddressSpace = size_t{1} << 47;

// Memory is taken from the system in huge pages: a pass over several arrays at once is otherwise
// slowed down by looking up pages, and 2 MiB are cleared in one page fault instead of 512.
constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t kReservation = size_t{1} << 30;

// Live and cached bytes together should not exceed this, or a quarter more than was ever alive at
// once. Networks come nowhere near (see take). Where holes that nothing fits into pile up, all are
// given back, but not before the heap has served kPatience times what it holds: clearing pages anew
// must never become a part of the work that counts.
constexpr size_t kFloor = size_t{64} << 20;
constexpr size_t kPatience = 64;

// size classes per power of two: at most 1/64 of a block is unused. Sizes that differ little are
// the same class, so that one finds the hole that the other left.
constexpr int kLogSteps = 6;

// nothing may touch the bytes between two blocks, if there is somebody to notice
const size_t gap = memory_is_checked() ? kAlignment : 0;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

size_t class_bytes(size_t bytes) {
  const size_t units = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment;
  if (units <= 1 << kLogSteps) return units * kAlignment;
  const int shift = 63 - __builtin_clzll(units - 1) - kLogSteps;
  return round_up(units, size_t{1} << shift) * kAlignment;
}

void* pointer(uintptr_t address) { return reinterpret_cast<void*>(address); }

struct Heap {
  std::mutex mutex;
  Ranges free;       // reserved and not alive
  Ranges untouched;  // of these, what the system was not asked for memory for
  size_t reserved = 0;
  size_t blocks = 0;     // alive
  size_t most_live = 0;  // bytes, since empty_cache
  size_t served = 0;     // bytes, since memory was given back
  MemoryStats stats{};

  size_t held() const { return reserved - untouched.bytes(); }

  void reserve(size_t bytes);
  void* take(size_t size);
  void give_back();
};

// Addresses without memory, as many again as there are, so that the pieces are few however many are
// needed. The system puts mappings below one another: most often the new piece joins the others.
void Heap::reserve(size_t bytes) {
  const size_t least = round_up(bytes, kHugePage);
  size_t size = std::max({least, reserved, kReservation});
  void* found;
  for (;; size = std::max(least, round_up(size / 2, kHugePage))) {
    found = mmap(nullptr, size + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found != MAP_FAILED) break;
    if (size == least) throw std::bad_alloc();
  }
  const uintptr_t first = reinterpret_cast<uintptr_t>(found), last = first + size + kHugePage;
  const uintptr_t end = last / kHugePage * kHugePage, begin = end - size;
  if (first < begin) munmap(found, begin - first);
  if (end < last) munmap(pointer(end), last - end);
#ifdef MADV_HUGEPAGE
  madvise(pointer(begin), size, MADV_HUGEPAGE);  // a wish: may fail
#endif
  untouched.add({begin, end});
  free.add({begin, end});
  reserved += size;
}

// The end of the smallest hole that is large enough. So where a block goes depends on what is alive
// and on nothing else, whatever shapes and networks there were before: a step that repeats comes to
// the same addresses, most often from its second time on. Holes join: at most 9 % of the peak of a
// training step is holes, 34 % of an inference's. Of the ways simulated on recordings of 75 steps,
// first fit leaves 23 and 34 %; lists of blocks by size 112 and 812 %, and as much again for every
// other network; and giving back the least recently used of those beyond 25 % makes nine of ten
// training steps fault more than half of their memory in anew, each time.
void* Heap::take(size_t size) {
  // release and give_back must not fail: every block may leave a hole, and one may be reserved
  const size_t most_holes = free.count() + untouched.count() + blocks + 2;
  free.make_room(most_holes);
  untouched.make_room(most_holes);
  const Range* hole = free.best_fit(size + gap);
  if (!hole) {
    reserve(size + gap);
    hole = free.best_fit(size + gap);
  }
  const Range block{hole->end - size - gap, hole->end};
  const Range pages{std::max(hole->begin, block.begin / kHugePage * kHugePage), block.end};
  const bool fresh = untouched.remove(pages) > 0;
  if (fresh) {
    const uintptr_t begin = pages.begin / kHugePage * kHugePage;
    const uintptr_t end = round_up(pages.end, kHugePage);
    if (mprotect(pointer(begin), end - begin, PROT_READ | PROT_WRITE) != 0) {
      untouched.add(pages);
      throw std::bad_alloc();
    }
    forbid_memory(pointer(pages.begin), pages.bytes());
    ++stats.allocations;
  }
  free.remove(block);
  ++blocks;
  served += size;
  stats.live_bytes += size;
  stats.peak_bytes = std::max(stats.peak_bytes, stats.live_bytes);
  most_live = std::max<size_t>(most_live, stats.live_bytes);
  if (fresh && held() > std::max(kFloor, most_live / 4 * 5) && served > kPatience * held()) {
    give_back();
  }
  return pointer(block.begin);
}

void Heap::give_back() {
  const size_t page = sysconf(_SC_PAGESIZE);
  for (const Range& hole : free) {
    const uintptr_t begin = round_up(hole.begin, page), end = hole.end / page * page;
    if (begin < end) madvise(pointer(begin), end - begin, MADV_DONTNEED);
  }
  untouched = free;
  served = 0;
}

// Never destroyed: arrays may outlive every static object.
Heap* heap = new Heap;

// fork waits until no other thread is inside the allocator, so the child's copy is whole. The child
// drops the cache: it would copy each cached page on first use instead of getting a fresh one.
void before_fork() { heap->mutex.lock(); }
void after_fork_in_parent() { heap->mutex.unlock(); }
void after_fork_in_child() {
  heap->mutex.unlock();
  heap->give_back();
}
const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > kAddressSpace) throw std::bad_alloc();
  std::lock_guard<std::mutex> lock(heap->mutex);
  void* block = heap->take(class_bytes(bytes));
  allow_memory(block, bytes);
  return block;
}

void release(void* block, size_t bytes) noexcept {
  const size_t size = class_bytes(bytes);
  const auto begin = reinterpret_cast<uintptr_t>(block);
  std::lock_guard<std::mutex> lock(heap->mutex);
  forbid_memory(block, size);
  heap->free.add({begin, begin + size + gap});
  --heap->blocks;
  heap->stats.live_bytes -= size;
}

MemoryStats memory_stats() {
  std::lock_guard<std::mutex> lock(heap->mutex);
  MemoryStats stats = heap->stats;
  stats.cached_bytes = heap->free.bytes() - heap->untouched.bytes();
  return stats;
}

void reset_peak_memory() {
  std::lock_guard<std::mutex> lock(heap->mutex);
  heap->stats.peak_bytes = heap->stats.live_bytes;
}

void empty_cache() {
  std::lock_guard<std::mutex> lock(heap->mutex);
  heap->give_back();
  heap->most_live = heap->stats.live_bytes;
}

}  // namespace fc
