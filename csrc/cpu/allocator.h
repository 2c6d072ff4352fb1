// The caching allocator behind fastconv's arrays: one heap, whose memory is kept and handed out
// again in any sizes, so that a training step does not fault its pages in anew, and changing
// networks and shapes need no more than the largest of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fc {

struct MemoryStats {
  int64_t live_bytes;    // handed out, in whole blocks
  int64_t peak_bytes;    // the most live_bytes has been since reset_peak_memory
  int64_t cached_bytes;  // kept for the next allocation
  int64_t allocations;   // that took memory from the system, since import
};

// A 64-byte aligned block of at least bytes; throws std::bad_alloc. Give the same bytes to release.
void* allocate(size_t bytes);
void release(void* block, size_t bytes) noexcept;

MemoryStats memory_stats();
void reset_peak_memory();
void empty_cache();

// Scratch memory of a binding, for as long as the object lives.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : bytes_(count * sizeof(T)), data_(static_cast<T*>(allocate(bytes_))) {}
  ~Scratch() { release(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() { return data_; }

 private:
  size_t bytes_;
  T* data_;
};

}  // namespace fc
