#include "emulator/machine.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "emulator/counters.h"
#include "emulator/machine_state.h"
#include "emulator/memory.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace fc::emulator {

Now now;

Machine& machine() {
  static Machine m;
  return m;
}

namespace {

// A launch that begins later begins anew: epochs must not run over within it.
constexpr uint32_t kLastEpoch = 0x80000000u;

std::string triple(unsigned x, unsigned y, unsigned z) {
  return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

std::string describe(const Finding& f) {
  const Machine& m = machine();
  std::string text = f.what;
  text += "\n  kernel " + locate(m.launch->kernel + 1).function;
  text += "\n  block " + triple(blockIdx.x, blockIdx.y, blockIdx.z);
  if (f.thread >= 0) {
    const uint3 t = m.threads[f.thread].index;
    text += ", thread " + triple(t.x, t.y, t.z);
  }
  if (f.place) text += "\n  at " + locate(f.place).text();
  if (f.other_place) text += "\n  " + f.other + " at " + locate(f.other_place).text();
  const char* order[] = {"fifo", "lifo", "random"};
  text += std::string("\n  schedule ") + order[static_cast<int>(m.options.schedule)];
  if (m.options.schedule == Schedule::kRandom) text += ", seed " + std::to_string(m.options.seed);
  return text;
}

// ---- the order of things

void arrange(std::vector<int>& order) {
  Machine& m = machine();
  if (m.options.schedule == Schedule::kLifo) std::reverse(order.begin(), order.end());
  if (m.options.schedule == Schedule::kRandom) {
    // not std::shuffle, whose result differs between libraries
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[m.random() % i]);
  }
}

std::vector<int> arranged(int64_t count) {
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  arrange(order);
  return order;
}

void select(int index) {
  Machine& m = machine();
  now.thread = index;
  now.warp_epoch = m.warp_epochs[index / warpSize];
  threadIdx = m.threads[index].index;
}

// ---- a thread

void begin_thread() {
  Machine& m = machine();
  m.body(m.launch->arguments);
  Thread& t = m.threads[now.thread];
  t.copies.push_back(std::move(t.open));
  for (const auto& group : t.copies) {
    if (group.empty()) continue;
    stop("cp.async not waited for: the thread ended", group.front().pc);
  }
  t.state = State::kDone;
  Fiber::leave();
}

// ---- a block

void release_barrier() {
  Machine& m = machine();
  const Thread* first = nullptr;
  for (int i = 0; i < m.threads_of_block; ++i) {
    Thread& t = m.threads[i];
    if (!first) first = &t;
    // the compiler may have made copies of one barrier: the source line decides
    if (t.waits_at != first->waits_at) {
      const uint32_t here = code_offset(t.waits_at), there = code_offset(first->waits_at);
      if (locate(here).text() != locate(there).text()) {
        select(i);
        m.finding = {true, "threads of a block wait at different barriers", "others", here, there,
                     i};
        return;
      }
    }
    t.state = State::kReady;
  }
  ++now.clock.epoch;
}

void report_deadlock(int done, int at_barrier) {
  Machine& m = machine();
  int waiting = 0;
  while (m.threads[waiting].state == State::kDone) ++waiting;
  const Thread& t = m.threads[waiting];
  const char* where = t.state == State::kBarrier ? "barrier" : "warp instruction";
  std::string what = "deadlock: the block waits at a " + std::string(where) + " that " +
                     std::to_string(done) + " of its threads left out by ending";
  if (!done) {
    what = "deadlock: " + std::to_string(at_barrier) + " threads wait at a barrier, " +
           std::to_string(m.threads_of_block - at_barrier) + " at a warp instruction";
  }
  // another thread that waits elsewhere says more
  uint32_t there = 0;
  for (int i = waiting; i < m.threads_of_block && !there; ++i) {
    const Thread& other = m.threads[i];
    if (other.state != t.state && other.state != State::kDone) there = code_offset(other.waits_at);
  }
  m.finding = {true, what, "others", code_offset(t.waits_at), there, waiting};
}

void run_block() {
  Machine& m = machine();
  ++now.clock.epoch;
  now.clock.block_began = now.clock.epoch;
  begin_shared(m.launch->shared_bytes);
  for (int i = 0; i < m.threads_of_block; ++i) {
    Thread& t = m.threads[i];
    t.fiber.prepare(i, begin_thread);
    t.state = State::kReady;
    t.copies.clear();
    t.open.clear();
  }
  for (Meeting& meeting : m.meetings) meeting.mask = meeting.arrived = 0;

  for (;;) {
    std::vector<int>& ready = m.ready;
    ready.clear();
    int done = 0, at_barrier = 0;
    for (int i = 0; i < m.threads_of_block; ++i) {
      const State s = m.threads[i].state;
      if (s == State::kReady) ready.push_back(i);
      done += s == State::kDone;
      at_barrier += s == State::kBarrier;
    }
    if (done == m.threads_of_block) return;
    if (at_barrier == m.threads_of_block) {
      release_barrier();
    } else if (ready.empty()) {
      report_deadlock(done, at_barrier);
    }
    if (m.finding.there) return;
    arrange(ready);
    for (int i : ready) {
      select(i);
      now.kernel = true;
      m.threads[i].fiber.enter();
      now.kernel = false;
      if (m.full_stack_at) {
        // the instruction's own address, not that behind a call
        const uint32_t place = code_offset(m.full_stack_at) + 1;
        m.finding = {true, "the thread's stack overflowed", "", place, 0, i};
      }
      if (m.finding.there) return;
    }
  }
}

void check_limits(const Launch& launch) {
  const auto [bx, by, bz] = launch.block;
  const auto [gx, gy, gz] = launch.grid;
  const auto refuse = [&](const std::string& what) {
    throw KernelError(what + "\n  kernel " + locate(launch.kernel + 1).function);
  };
  if (uint64_t{bx} * by * bz < 1 || uint64_t{bx} * by * bz > 1024 || bz > 64) {
    refuse("a block of " + triple(bx, by, bz) + " threads: expected 1 to 1024");
  }
  if (!gx || !gy || !gz || gx > 0x7fffffffu || gy > 65535 || gz > 65535) {
    refuse("a grid of " + triple(gx, gy, gz) + " blocks: expected 1 to (2^31-1, 65535, 65535)");
  }
  if (launch.shared_bytes > options().shared_limit) {
    refuse(std::to_string(launch.shared_bytes) + " bytes of shared memory: expected at most " +
           std::to_string(options().shared_limit));
  }
}

}  // namespace

void wait_as(State state, const void* pc) {
  Thread& t = machine().threads[now.thread];
  t.state = state;
  t.waits_at = pc;
  Fiber::leave();
}

Options& options() { return machine().options; }
bool in_arguments(uintptr_t address) {
  const Launch& launch = *machine().launch;
  return address - reinterpret_cast<uintptr_t>(launch.arguments) < launch.arguments_bytes;
}
bool in_indices(uintptr_t address) {
  const auto of = [&](const auto& v) {
    return address - reinterpret_cast<uintptr_t>(&v) < sizeof v;
  };
  return of(threadIdx) || of(blockIdx) || of(blockDim) || of(gridDim);
}

void stop(const std::string& what, const void* pc, const std::string& other, uint32_t other_place) {
  Machine& m = machine();
  // an exception must not cross stacks: the host throws it
  m.finding = {true, what, other, pc ? code_offset(pc) : 0, other_place, now.thread};
  now.kernel = false;
  Fiber::leave();
  __builtin_unreachable();
}

void stop(const std::string& what, const void* pc) { stop(what, pc, "", 0); }

void run(const Launch& launch, void (*body)(const void*)) {
  Machine& m = machine();
  check_limits(launch);
  m.launch = &launch;
  m.body = body;
  m.finding = {};
  m.full_stack_at = nullptr;
  now.count = m.options.count;
  if (now.clock.epoch > kLastEpoch) {
    forget_epochs();
    now.clock = {};
    std::fill(m.warp_epochs.begin(), m.warp_epochs.end(), 1);
  }
  m.random.seed(m.options.seed);
  now.clock.launch_began = now.clock.epoch + 1;
  blockDim = launch.block;
  gridDim = launch.grid;
  m.threads_of_block = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  if (m.threads.size() < static_cast<size_t>(m.threads_of_block)) {
    m.threads.resize(m.threads_of_block);
  }
  const int warps = (m.threads_of_block + warpSize - 1) / warpSize;
  m.meetings.resize(warps);
  if (m.warp_epochs.size() < static_cast<size_t>(warps)) m.warp_epochs.resize(warps, 1);
  for (int i = 0; i < m.threads_of_block; ++i) {
    const unsigned x = launch.block.x, y = launch.block.y, u = static_cast<unsigned>(i);
    m.threads[i].index = {u % x, u / x % y, u / x / y};
  }
  const StackWatch watch([](const void* pc) {
    machine().full_stack_at = pc;
    now.kernel = false;
    Fiber::leave();
  });
  begin_counting(launch.kernel, m.threads_of_block, launch.shared_bytes);
  const int64_t blocks = int64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  for (int b : arranged(blocks)) {
    const unsigned x = launch.grid.x, y = launch.grid.y, u = static_cast<unsigned>(b);
    blockIdx = {u % x, u / x % y, u / x / y};
    run_block();
    if (m.finding.there) throw KernelError(describe(m.finding));
    count_block();
  }
}

}  // namespace fc::emulator

void __syncthreads() {
  fc::emulator::wait_as(fc::emulator::State::kBarrier, __builtin_return_address(0));
}
