#include "emulator/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "emulator/counters.h"
#include "emulator/fiber.h"
#include "emulator/machine.h"
#include "emulator/report.h"

namespace fc::emulator {
namespace {

constexpr size_t kAlign = 256;
constexpr size_t kSharedBytes = size_t{228} << 10;
// around shared memory, and between buffers: an index that is wrong by this much hits nothing
constexpr size_t kSharedGuard = size_t{64} << 10;
constexpr size_t kLeastGuard = size_t{64} << 10, kMostGuard = size_t{16} << 20;
constexpr int kPoison = 0xff;  // a NaN in every float format

// Bits of a byte of global memory; none: nobody allocated it.
enum : uint8_t { kAllocated = 1, kWritten = 2, kWritable = 4 };

template <class T>
T* reserve(size_t count) {
  void* p = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(p);
}

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

struct Buffer {
  size_t begin, bytes;
  std::string name;
};

struct Memory {
  char* arena = reserve<char>(kArenaBytes);
  uint8_t* state = reserve<uint8_t>(kArenaBytes + kAlign);  // an access may begin at the last byte
  Shadow shadow{kArenaBytes};
  size_t used = 0, guard = kLeastGuard;  // behind what is used
  std::vector<Buffer> buffers;

  // aligned for any vector access
  char* shared = reserve<char>(kSharedBytes + 2 * kSharedGuard) + kSharedGuard;
  Shadow shared_shadow{kSharedBytes};
  size_t shared_bytes = 0;

  const Buffer* nearest(size_t at) const {
    const Buffer* found = nullptr;
    size_t least = SIZE_MAX;
    for (const Buffer& b : buffers) {
      const size_t end = b.begin + b.bytes;
      const size_t distance = at < b.begin ? b.begin - at : at >= end ? at - end + 1 : 0;
      if (distance < least) least = distance, found = &b;
    }
    return found;
  }
  const Buffer& buffer_at(const void* p) const {
    return *nearest(static_cast<const char*>(p) - arena);
  }
};

Memory& memory() {
  static Memory m;
  return m;
}

std::string place_of(size_t at) {
  const Memory& m = memory();
  const Buffer* b = m.nearest(at);
  if (!b) return "no buffer is allocated";
  const auto distance = static_cast<int64_t>(at) - static_cast<int64_t>(b->begin);
  return "byte " + std::to_string(distance) + " of " + b->name + ", which has " +
         std::to_string(b->bytes);
}

const char* verb(AccessKind kind) {
  return kind == AccessKind::kRead ? "read" : kind == AccessKind::kWrite ? "write" : "atomic";
}

std::string bytes_text(size_t bytes) {
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

// ---- races

struct Race {
  const char* with;  // null: none
  uint32_t pc;
};

// Whether a __syncwarp of the running thread's warp lies between.
bool same_warp_in_order(uint16_t other_thread, uint32_t since) {
  return other_thread / warpSize == now.thread / warpSize && since < now.warp_epoch;
}

// since: the epoch before which nothing matters, of the launch or, in shared memory, of the block
Race race_with_write(const Cell& c, uint32_t since) {
  if (c.write_epoch < since) return {};
  if (c.write_epoch < now.clock.block_began) return {"another block's write", c.write_pc};
  if (c.write_epoch < now.clock.epoch || c.writer == now.thread) return {};
  if (same_warp_in_order(c.writer, c.write_warp_epoch)) return {};
  return {"a write of another thread, with no barrier between", c.write_pc};
}

Race race_with_reads(const Cell& c, uint32_t since) {
  if (c.read_epoch < since) return {};
  if (c.read_epoch < now.clock.block_began) return {"another block's read", c.read_pc};
  if (c.read_epoch < now.clock.epoch) return {};
  if (c.readers == kOne && c.reader == now.thread) return {};
  if (c.readers != kMany && same_warp_in_order(c.reader, c.read_warp_epoch)) return {};
  return {"a read of another thread, with no barrier between", c.read_pc};
}

void note_write(Cell& c, uint32_t place) {
  c.write_epoch = now.clock.epoch;
  c.write_warp_epoch = now.warp_epoch;
  c.write_pc = place;
  c.writer = static_cast<uint16_t>(now.thread);
  c.in_flight = false;
}

void note_read(Cell& c, uint32_t place) {
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

[[noreturn, gnu::cold]] void stop_race(const Race& race, AccessKind kind, const char* space,
                                       const void* pc) {
  stop(std::string("race in ") + space + " memory: this " + verb(kind) + " and " + race.with, pc,
       "the other one", race.pc);
}

// One access on a cell that it touches.
void check_race(Cell& c, AccessKind kind, uint32_t since, const char* space, const void* pc) {
  Race race = race_with_write(c, since);
  if (kind == AccessKind::kRead) {
    if (race.with) stop_race(race, kind, space, pc);
    note_read(c, code_offset(pc));
  } else {
    if (!race.with) race = race_with_reads(c, since);
    if (race.with) stop_race(race, kind, space, pc);
    note_write(c, code_offset(pc));
  }
}

// ---- the two memories

template <class Bits>
uint8_t common_bits(const uint8_t* state) {
  Bits bits;
  std::memcpy(&bits, state, sizeof bits);
  for (size_t half = sizeof bits * 4; half >= 8; half /= 2) bits &= static_cast<Bits>(bits >> half);
  return static_cast<uint8_t>(bits);
}

// The bits that all bytes of an access have.
uint8_t common_bits(const uint8_t* state, size_t bytes) {
  switch (bytes) {
    case 1:
      return *state;
    case 2:
      return common_bits<uint16_t>(state);
    case 4:
      return common_bits<uint32_t>(state);
    case 8:
      return common_bits<uint64_t>(state);
    default:
      return common_bits<uint64_t>(state) & common_bits<uint64_t>(state + 8);
  }
}

[[noreturn, gnu::cold]] void stop_global(const char* what, size_t at, size_t bytes, AccessKind kind,
                                         const void* pc) {
  stop(std::string(what) + ": " + verb(kind) + " of " + bytes_text(bytes) + " at " + place_of(at),
       pc);
}

[[noreturn, gnu::cold]] void stop_without(uint8_t bits, size_t at, size_t bytes, AccessKind kind,
                                          const void* pc) {
  const uint8_t* state = memory().state;
  const char* what = bits == kAllocated  ? "out of bounds"
                     : bits == kWritable ? "write into an input"
                                         : "uninitialised global memory";
  while (state[at] & bits) ++at;
  stop_global(what, at, bytes, kind, pc);
}

void access_global(uintptr_t address, size_t bytes, AccessKind kind, const void* pc) {
  Memory& m = memory();
  const size_t at = address - reinterpret_cast<uintptr_t>(m.arena);
  const uint8_t common = common_bits(m.state + at, bytes);
  if (!(common & kAllocated)) stop_without(kAllocated, at, bytes, kind, pc);
  if (at % bytes) stop_global("misaligned", at, bytes, kind, pc);
  if (kind != AccessKind::kWrite && !(common & kWritten)) {
    stop_without(kWritten, at, bytes, kind, pc);
  }
  if (kind != AccessKind::kRead) {
    if (!(common & kWritable)) stop_without(kWritable, at, bytes, kind, pc);
    std::memset(m.state + at, kAllocated | kWritten | kWritable, bytes);
  }
  // atomics of different threads are what they are for
  if (kind == AccessKind::kAtomic) return;
  const uint32_t since = now.clock.launch_began;
  m.shadow.each(at, bytes, since, [&](Cell& c) { check_race(c, kind, since, "global", pc); });
}

[[noreturn, gnu::cold]] void stop_shared(const char* what, size_t at, size_t bytes, AccessKind kind,
                                         const void* pc, uint32_t copy = 0) {
  stop(std::string(what) + ": " + verb(kind) + " of " + bytes_text(bytes) + " at byte " +
           std::to_string(static_cast<int64_t>(at)) + " of shared memory, which has " +
           std::to_string(memory().shared_bytes),
       pc, "the copy", copy);
}

void access_shared(uintptr_t address, size_t bytes, AccessKind kind, const void* pc) {
  Memory& m = memory();
  const size_t at = address - reinterpret_cast<uintptr_t>(m.shared);
  if (at >= m.shared_bytes || at + bytes > m.shared_bytes) {
    stop_shared("out of bounds", at, bytes, kind, pc);
  }
  if (at % bytes) stop_shared("misaligned", at, bytes, kind, pc);
  const uint32_t since = now.clock.block_began;
  m.shared_shadow.each(at, bytes, since, [&](Cell& c) {
    const bool written = c.write_epoch >= since;
    if (written && c.in_flight) {
      stop_shared("cp.async not waited for", at, bytes, kind, pc, c.write_pc);
    }
    if (kind != AccessKind::kWrite && !written) {
      stop_shared("uninitialised shared memory", at, bytes, kind, pc);
    }
    if (kind == AccessKind::kAtomic) {
      note_write(c, code_offset(pc));
    } else {
      check_race(c, kind, since, "shared", pc);
    }
  });
}

[[noreturn, gnu::cold]] void stop_elsewhere(uintptr_t address, size_t bytes, AccessKind kind,
                                            const void* pc) {
  const std::string told = std::string(verb(kind)) + " of " + bytes_text(bytes);
  if (in_arguments(address) || in_constants(address)) {
    stop("write to a constant: " + told + " in the program or the launch's arguments", pc);
  }
  stop("not device memory: " + told + " through a null, host or wild pointer", pc);
}

bool inside(uintptr_t address, uintptr_t begin, size_t bytes) { return address - begin < bytes; }

}  // namespace

void access(const void* p, size_t bytes, AccessKind kind, const void* pc) {
  if (!running()) return;
  const auto address = reinterpret_cast<uintptr_t>(p);
  const Memory& m = memory();
  if (inside(address, reinterpret_cast<uintptr_t>(m.arena), kArenaBytes)) {
    access_global(address, bytes, kind, pc);
    if (now.count) count(Space::kGlobal, address, bytes, kind, pc);
  } else if (inside(address, reinterpret_cast<uintptr_t>(m.shared) - kSharedGuard,
                    kSharedBytes + 2 * kSharedGuard)) {
    access_shared(address, bytes, kind, pc);
    if (now.count) count(Space::kShared, address, bytes, kind, pc);
  } else if (inside(address, Fiber::stacks_begin(), Fiber::stacks_bytes())) {
    if (Fiber::at(address) != now.thread) {
      stop(std::string(verb(kind)) + " of another thread's local variable", pc);
    }
  } else if (kind != AccessKind::kRead ||
             !(in_indices(address) || in_arguments(address) || in_constants(address))) {
    stop_elsewhere(address, bytes, kind, pc);
  }
}

void* allocate(size_t bytes, Content content, const char* name, size_t offset) {
  Memory& m = memory();
  const size_t guard = std::clamp(bytes, kLeastGuard, kMostGuard);
  const size_t free = m.used + std::max(guard, m.guard) + kAlign - 1;
  const size_t begin = free / kAlign * kAlign + offset % kAlign;
  if (bytes > kArenaBytes || begin + bytes + kLeastGuard > kArenaBytes) throw std::bad_alloc();
  m.used = begin + bytes;
  m.guard = guard;
  m.buffers.push_back({begin, bytes, name});
  const bool written = content == Content::kInput || content == Content::kInOut;
  const bool writable = content != Content::kInput;
  if (!written) std::memset(m.arena + begin, kPoison, bytes);
  std::memset(m.state + begin, kAllocated | (written ? kWritten : 0) | (writable ? kWritable : 0),
              bytes);
  return m.arena + begin;
}

void make_writable(void* buffer) {
  Memory& m = memory();
  const Buffer& b = m.buffer_at(buffer);
  for (size_t i = 0; i < b.bytes; ++i) m.state[b.begin + i] |= kWritable;
}

void check_written(const void* buffer, const std::string& function) {
  const Memory& m = memory();
  const Buffer& b = m.buffer_at(buffer);
  for (size_t i = 0; i < b.bytes; ++i) {
    if (m.state[b.begin + i] & kWritten) continue;
    throw KernelError(function + ": no kernel wrote " + place_of(b.begin + i));
  }
}

void fill_zero(void* p, size_t bytes) {
  Memory& m = memory();
  const size_t at = static_cast<char*>(p) - m.arena;
  for (size_t i = at; i < at + bytes; ++i) {
    if (i >= kArenaBytes) throw KernelError("fill_zero: not device memory");
    if (!(m.state[i] & kWritable)) {
      throw KernelError("fill_zero: out of bounds, or of an input: " + place_of(i));
    }
    m.state[i] |= kWritten;
  }
  if (bytes) std::memset(p, 0, bytes);
}

void free_all() {
  Memory& m = memory();
  for (const Buffer& b : m.buffers) std::memset(m.state + b.begin, 0, b.bytes);
  m.buffers.clear();
  m.used = 0;
  m.guard = kLeastGuard;
}

void forget_epochs() {
  memory().shadow.forget();
  memory().shared_shadow.forget();
}

char* shared_memory() { return memory().shared; }

void begin_shared(size_t bytes) {
  Memory& m = memory();
  m.shared_bytes = bytes;
  std::memset(m.shared, kPoison, bytes);
}

void begin_copy(void* to, const void* from, size_t bytes, size_t valid, const void* pc) {
  if (valid) access(from, valid, AccessKind::kRead, pc);
  access(to, bytes, AccessKind::kWrite, pc);
  std::memset(to, kPoison, bytes);
  Memory& m = memory();
  m.shared_shadow.each(static_cast<char*>(to) - m.shared, bytes, now.clock.block_began,
                       [](Cell& c) { c.in_flight = true; });
}

void land_copy(void* to, const void* data, size_t bytes) {
  std::memcpy(to, data, bytes);
  Memory& m = memory();
  m.shared_shadow.each(static_cast<char*>(to) - m.shared, bytes, now.clock.block_began,
                       [](Cell& c) { note_write(c, c.write_pc); });
}

}  // namespace fc::emulator
