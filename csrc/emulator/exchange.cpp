// What threads do with each other beside barriers: warp collectives, cp.async, atomics.
#include <algorithm>
#include <cstring>

#include "emulator/machine_state.h"
#include "emulator/memory.h"

namespace fc::emulator {

// ---- warp collectives

namespace {

void give_results(Meeting& meeting) {
  uint64_t ballot = 0;
  for (int lane = 0; lane < warpSize; ++lane) {
    if (meeting.mask >> lane & 1 && meeting.values[lane]) ballot |= uint64_t{1} << lane;
  }
  for (int lane = 0; lane < warpSize; ++lane) {
    if (!(meeting.mask >> lane & 1)) continue;
    const int argument = meeting.arguments[lane];
    int source = lane;
    switch (meeting.kind) {
      case Collective::kShuffle:
        source = argument & 31;
        break;
      case Collective::kShuffleXor:
        source = lane ^ argument;
        break;
      case Collective::kShuffleDown:
        source = lane + argument;
        break;
      case Collective::kShuffleUp:
        source = lane - argument;
        break;
      default:
        break;
    }
    // past the warp's end a lane gets its own value
    if (source < 0 || source >= warpSize) source = lane;
    const bool there = meeting.mask >> source & 1;
    meeting.results[lane] = meeting.kind == Collective::kBallot ? ballot
                            : there                             ? meeting.values[source]
                                                                : ~uint64_t{0};  // undefined: a NaN
  }
}

}  // namespace

uint64_t collective(Collective kind, unsigned mask, uint64_t value, int argument, const void* pc) {
  Machine& m = machine();
  const int warp = now.thread / warpSize, lane = now.thread % warpSize;
  Meeting& meeting = m.meetings[warp];
  if (!(mask >> lane & 1)) stop("a warp instruction whose mask leaves out the calling lane", pc);
  if (!meeting.arrived) {
    meeting.kind = kind;
    meeting.mask = mask;
    meeting.pc = pc;
    const int lanes = std::min(warpSize, m.threads_of_block - warp * warpSize);
    if (lanes < warpSize && mask >> lanes) {
      stop("a warp instruction whose mask names lanes that the block does not have", pc);
    }
  } else if (meeting.kind != kind || meeting.mask != mask) {
    stop("lanes of a warp meet in different warp instructions, or with different masks", pc,
         "another lane", code_offset(meeting.pc));
  }
  meeting.values[lane] = value;
  meeting.arguments[lane] = argument;
  meeting.arrived |= 1u << lane;
  if (meeting.arrived != mask) {
    wait_as(State::kCollective, pc);
    return meeting.results[lane];
  }
  give_results(meeting);
  meeting.arrived = 0;
  if (kind == Collective::kSyncwarp) ++m.warp_epochs[warp];
  for (int i = 0; i < warpSize; ++i) {
    if (mask >> i & 1) m.threads[warp * warpSize + i].state = State::kReady;
  }
  const uint64_t mine = meeting.results[lane];
  // the others first read theirs: this lane may reach the next collective
  Fiber::leave();
  return mine;
}

// ---- cp.async

void issue_copy(void* to, const void* from, size_t bytes, size_t valid, const void* pc) {
  Machine& m = machine();
  if (static_cast<char*>(to) < shared_memory() ||
      static_cast<char*>(to) >= shared_memory() + machine().launch->shared_bytes) {
    stop("cp.async to something that is not shared memory", pc);
  }
  begin_copy(to, from, bytes, valid, pc);
  PendingCopy copy{to, bytes, pc, {}};
  std::memcpy(copy.data, from, valid);  // the rest is filled with zeros
  if (m.options.eager_copies) {
    land_copy(to, copy.data, bytes);
  } else {
    m.threads[now.thread].open.push_back(copy);
  }
}

void commit_copies() {
  Thread& t = machine().threads[now.thread];
  t.copies.push_back(std::move(t.open));
  t.open.clear();
}

void wait_copies(int groups_left) {
  Thread& t = machine().threads[now.thread];
  while (static_cast<int>(t.copies.size()) > groups_left) {
    for (const PendingCopy& c : t.copies.front()) land_copy(c.to, c.data, c.bytes);
    t.copies.erase(t.copies.begin());
  }
}

void atomic_access(void* p, size_t bytes, const void* pc) {
  access(p, bytes, AccessKind::kAtomic, pc);
}

}  // namespace fc::emulator

void __syncwarp(unsigned mask) {
  fc::emulator::collective(fc::emulator::Collective::kSyncwarp, mask, 0, 0,
                           __builtin_return_address(0));
}
