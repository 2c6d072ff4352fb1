// Who touched which bytes last, and whether that was a race.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>

#include "emulator/machine.h"

namespace fc::emulator {

// The last write and the last reads of some bytes.
struct Cell {
  uint32_t write_epoch, write_warp_epoch, write_pc;
  uint32_t read_epoch, read_warp_epoch, read_pc;
  uint16_t writer, reader;
  uint8_t readers;  // kOne: reader; kWarp: several of reader's warp; kMany: several warps
  bool in_flight;   // a cp.async has yet to write them
  bool split;       // of a word: its bytes have cells of their own; write_epoch: when last touched
};
enum : uint8_t { kOne, kWarp, kMany };

struct Race {
  const char* with;  // null: none
  uint32_t pc;
};

// Whether a __syncwarp of the running thread's warp lies between.
inline bool same_warp_in_order(uint16_t other_thread, uint32_t since) {
  return other_thread / warpSize == now.thread / warpSize && since < now.warp_epoch;
}

// since: the epoch before which nothing matters, of the launch or, in shared memory, of the block
inline Race race_with_write(const Cell& c, uint32_t since) {
  if (c.write_epoch < since) return {};
  if (c.write_epoch < now.clock.block_began) return {"another block's write", c.write_pc};
  if (c.write_epoch < now.clock.epoch || c.writer == now.thread) return {};
  if (same_warp_in_order(c.writer, c.write_warp_epoch)) return {};
  return {"a write of another thread, with no barrier between", c.write_pc};
}

inline Race race_with_reads(const Cell& c, uint32_t since) {
  if (c.read_epoch < since) return {};
  if (c.read_epoch < now.clock.block_began) return {"another block's read", c.read_pc};
  if (c.read_epoch < now.clock.epoch) return {};
  if (c.readers == kOne && c.reader == now.thread) return {};
  if (c.readers != kMany && same_warp_in_order(c.reader, c.read_warp_epoch)) return {};
  return {"a read of another thread, with no barrier between", c.read_pc};
}

inline void note_write(Cell& c, uint32_t place) {
  c.write_epoch = now.clock.epoch;
  c.write_warp_epoch = now.warp_epoch;
  c.write_pc = place;
  c.writer = static_cast<uint16_t>(now.thread);
  c.in_flight = false;
}

inline void note_read(Cell& c, uint32_t place) {
  const bool same_warp = c.reader / warpSize == now.thread / warpSize;
  // what a warp read before its __syncwarp cannot meet what it writes after it
  const bool in_order = same_warp && c.readers != kMany && c.read_warp_epoch < now.warp_epoch;
  if (c.read_epoch != now.clock.epoch || in_order) {
    c.readers = kOne;
    c.reader = static_cast<uint16_t>(now.thread);
    c.read_pc = place;
  } else if (c.reader != now.thread) {
    // the first reader stays: the last one is often the thread that writes next
    c.readers = same_warp && c.readers != kMany ? kWarp : kMany;
  }
  c.read_epoch = now.clock.epoch;
  c.read_warp_epoch = now.warp_epoch;
}

// Zeros, that take memory only where they are touched.
template <class T>
T* reserve(size_t count) {
  void* p = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(p);
}

// A cell per word; four where threads touched less than a word, since their neighbours may be
// others'. What lies before the epoch `since` does not matter any more.
class Shadow {
 public:
  explicit Shadow(size_t bytes)
      : size_(bytes), words_(reserve<Cell>(bytes / kWord)), bytes_(reserve<Cell>(bytes)) {}

  // f(cell) for every cell of an aligned access
  template <class F>
  void each(size_t at, size_t bytes, uint32_t since, F f) {
    if (bytes < kWord) {
      split(words_[at / kWord], bytes_ + at / kWord * kWord, since);
      for (size_t i = at; i < at + bytes; ++i) f(bytes_[i]);
      return;
    }
    for (size_t w = at / kWord; w < (at + bytes) / kWord; ++w) {
      Cell& word = words_[w];
      if (word.split && word.write_epoch < since) word = {};
      if (!word.split) {
        f(word);
      } else {
        word.write_epoch = now.clock.epoch;
        for (size_t i = 0; i < kWord; ++i) f(bytes_[w * kWord + i]);
      }
    }
  }

  void forget() {
    madvise(words_, size_ / kWord * sizeof(Cell), MADV_DONTNEED);
    madvise(bytes_, size_ * sizeof(Cell), MADV_DONTNEED);
  }

 private:
  static constexpr size_t kWord = 4;

  static void split(Cell& word, Cell* bytes, uint32_t since) {
    if (word.split && word.write_epoch < since) word = {};
    if (!word.split) std::fill(bytes, bytes + kWord, word);
    word.split = true;
    word.write_epoch = now.clock.epoch;
  }

  size_t size_;
  Cell* words_;
  Cell* bytes_;
};

}  // namespace fc::emulator
