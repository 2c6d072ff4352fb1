#include "emulator/memory.h"

#include <sys/mman.h>

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

constexpr size_t kAlign = 256, kGuard = 256;
constexpr size_t kSharedBytes = size_t{228} << 10;
constexpr int kPoison = 0xff;  // a NaN in every float format

// Bits of a byte of global memory; none: nobody allocated it.
enum : uint8_t { kAllocated = 1, kWritten = 2, kWritable = 4 };

// The last write and the last reads of a few bytes.
struct Cell {
  uint32_t write_epoch, write_warp_epoch, write_pc;
  uint32_t read_epoch, read_warp_epoch, read_pc;
  uint16_t writer, reader;
  uint8_t readers;  // kOne: reader; kWarp: several of reader's warp; kMany: several warps
  bool in_flight;   // a cp.async has yet to write them
};
enum : uint8_t { kOne, kWarp, kMany };

// Finer in shared memory, where half types of neighbouring threads lie side by side. Accesses
// narrower than a cell are not checked for races.
constexpr size_t kGlobalCell = 4, kSharedCell = 2;

template <class T>
T* reserve(size_t count) {
  void* p = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(p);
}

struct Buffer {
  size_t begin, bytes;
  std::string name;
};

struct Memory {
  char* arena = reserve<char>(kArenaBytes);
  uint8_t* state = reserve<uint8_t>(kArenaBytes);
  Cell* cells = reserve<Cell>(kArenaBytes / kGlobalCell);
  size_t used = 0;
  std::vector<Buffer> buffers;

  // aligned for any vector access
  char* shared = reserve<char>(kSharedBytes);
  Cell* shared_cells = reserve<Cell>(kSharedBytes / kSharedCell);
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

bool same_warp_in_order(int warp, int other_thread, uint32_t since) {
  return other_thread / warpSize == warp && since < warp_epoch(warp);
}

// since: the epoch in which this memory's life began, before which nothing matters
Race race_with_write(const Cell& c, int thread, uint32_t since) {
  const Clock& now = epochs();
  if (c.write_epoch < since) return {};
  if (c.write_epoch < now.block_began) return {"another block's write", c.write_pc};
  if (c.write_epoch < now.epoch || c.writer == thread) return {};
  if (same_warp_in_order(thread / warpSize, c.writer, c.write_warp_epoch)) return {};
  return {"a write of another thread, with no barrier between", c.write_pc};
}

Race race_with_reads(const Cell& c, int thread, uint32_t since) {
  const Clock& now = epochs();
  if (c.read_epoch < since) return {};
  if (c.read_epoch < now.block_began) return {"another block's read", c.read_pc};
  if (c.read_epoch < now.epoch) return {};
  if (c.readers == kOne && c.reader == thread) return {};
  if (c.readers != kMany && same_warp_in_order(thread / warpSize, c.reader, c.read_warp_epoch)) {
    return {};
  }
  return {"a read of another thread, with no barrier between", c.read_pc};
}

void note_write(Cell& c, int thread, uint32_t pc) {
  c.write_epoch = epochs().epoch;
  c.write_warp_epoch = warp_epoch(thread / warpSize);
  c.write_pc = pc;
  c.writer = static_cast<uint16_t>(thread);
  c.in_flight = false;
}

void note_read(Cell& c, int thread, uint32_t pc) {
  const int warp = thread / warpSize;
  if (c.read_epoch != epochs().epoch) {
    c.readers = kOne;
  } else if (c.reader / warpSize != warp) {
    c.readers = kMany;
  } else if (c.reader != thread && c.readers == kOne) {
    c.readers = kWarp;
  }
  c.read_epoch = epochs().epoch;
  c.read_warp_epoch = warp_epoch(warp);
  c.read_pc = pc;
  c.reader = static_cast<uint16_t>(thread);
}

// One access on the cells it touches.
void check_races(Cell* cells, size_t first, size_t last, AccessKind kind, const char* space,
                 uint32_t since, const void* pc) {
  const int me = thread();
  const uint32_t place = code_offset(pc);
  for (size_t i = first; i <= last; ++i) {
    Cell& c = cells[i];
    Race race = race_with_write(c, me, since);
    if (!race.with && kind != AccessKind::kRead) race = race_with_reads(c, me, since);
    if (race.with) {
      stop(std::string("race in ") + space + " memory: this " + verb(kind) + " and " + race.with,
           pc, "the other one", race.pc);
    }
    if (kind == AccessKind::kRead) {
      note_read(c, me, place);
    } else {
      note_write(c, me, place);
    }
  }
}

// ---- the two memories

void access_global(uintptr_t address, size_t bytes, AccessKind kind, const void* pc) {
  Memory& m = memory();
  const size_t at = address - reinterpret_cast<uintptr_t>(m.arena);
  const auto told = [&](const char* what) {
    return std::string(what) + ": " + verb(kind) + " of " + bytes_text(bytes) + " at ";
  };
  const uint8_t needed = kind == AccessKind::kRead ? kAllocated : kAllocated | kWritable;
  for (size_t i = at; i < at + bytes; ++i) {
    if ((m.state[i] & needed) == needed) continue;
    const bool outside = !(m.state[i] & kAllocated);
    stop(told(outside ? "out of bounds" : "write into an input") + place_of(i), pc);
  }
  if (at % bytes) stop(told("misaligned") + place_of(at), pc);
  if (kind != AccessKind::kWrite) {
    for (size_t i = at; i < at + bytes; ++i) {
      if (!(m.state[i] & kWritten)) {
        stop(told("uninitialised global memory") + place_of(i), pc);
      }
    }
  }
  if (kind != AccessKind::kRead) {
    for (size_t i = at; i < at + bytes; ++i) m.state[i] |= kWritten;
  }
  // atomics of different threads are what they are for
  if (bytes >= kGlobalCell && kind != AccessKind::kAtomic) {
    check_races(m.cells, at / kGlobalCell, (at + bytes - 1) / kGlobalCell, kind, "global",
                epochs().launch_began, pc);
  }
}

void access_shared(uintptr_t address, size_t bytes, AccessKind kind, const void* pc) {
  Memory& m = memory();
  const size_t at = address - reinterpret_cast<uintptr_t>(m.shared);
  const auto told = [&](const char* what) {
    return std::string(what) + ": " + verb(kind) + " of " + bytes_text(bytes) + " at byte " +
           std::to_string(at) + " of shared memory, which has " + std::to_string(m.shared_bytes);
  };
  if (at + bytes > m.shared_bytes) stop(told("out of bounds"), pc);
  if (at % bytes) stop(told("misaligned"), pc);
  const size_t first = at / kSharedCell, last = (at + bytes - 1) / kSharedCell;
  for (size_t i = first; i <= last; ++i) {
    const Cell& c = m.shared_cells[i];
    const bool written = c.write_epoch >= epochs().block_began;
    if (written && c.in_flight) {
      stop(told("cp.async not waited for"), pc, "the copy", c.write_pc);
    }
    if (kind != AccessKind::kWrite && !written) stop(told("uninitialised shared memory"), pc);
  }
  if (bytes >= kSharedCell && kind != AccessKind::kAtomic) {
    check_races(m.shared_cells, first, last, kind, "shared", epochs().block_began, pc);
  } else if (kind != AccessKind::kRead) {
    for (size_t i = first; i <= last; ++i) note_write(m.shared_cells[i], thread(), code_offset(pc));
  }
}

bool inside(uintptr_t address, uintptr_t begin, size_t bytes) { return address - begin < bytes; }

}  // namespace

void access(const void* p, size_t bytes, AccessKind kind, const void* pc) {
  if (!running()) return;
  const auto address = reinterpret_cast<uintptr_t>(p);
  if (inside(address, Fiber::stacks_begin(), Fiber::stacks_bytes())) return;
  const Memory& m = memory();
  if (inside(address, reinterpret_cast<uintptr_t>(m.shared), kSharedBytes)) {
    access_shared(address, bytes, kind, pc);
    count(Space::kShared, address, bytes, kind, pc);
  } else if (inside(address, reinterpret_cast<uintptr_t>(m.arena), kArenaBytes)) {
    access_global(address, bytes, kind, pc);
    count(Space::kGlobal, address, bytes, kind, pc);
  } else if (!in_arguments(address) && !in_module(address)) {
    stop(std::string("not device memory: ") + verb(kind) + " of " + bytes_text(bytes) +
             " through a null, host or wild pointer",
         pc);
  }
}

void* allocate(size_t bytes, Content content, const char* name, size_t offset) {
  Memory& m = memory();
  const size_t begin = (m.used + kGuard + kAlign - 1) / kAlign * kAlign + offset;
  if (bytes > kArenaBytes || begin + bytes + kGuard > kArenaBytes) throw std::bad_alloc();
  m.used = begin + bytes;
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
    if (at >= kArenaBytes || !(m.state[i] & kWritable)) {
      throw KernelError("fill_zero: out of bounds, or of an input: " + place_of(i));
    }
    m.state[i] |= kWritten;
  }
  std::memset(p, 0, bytes);
}

void free_all() {
  Memory& m = memory();
  for (const Buffer& b : m.buffers) std::memset(m.state + b.begin, 0, b.bytes);
  m.buffers.clear();
  m.used = 0;
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
  Memory& m = memory();
  const size_t at = static_cast<char*>(to) - m.shared;
  std::memset(to, kPoison, bytes);
  for (size_t i = 0; i < bytes; i += kSharedCell)
    m.shared_cells[(at + i) / kSharedCell].in_flight = true;
}

void land_copy(void* to, const void* data, size_t bytes) {
  Memory& m = memory();
  const size_t at = static_cast<char*>(to) - m.shared;
  std::memcpy(to, data, bytes);
  for (size_t i = 0; i < bytes; i += kSharedCell) {
    Cell& c = m.shared_cells[(at + i) / kSharedCell];
    note_write(c, thread(), c.write_pc);
  }
}

}  // namespace fc::emulator
