#include "emulator/fiber.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace fc::emulator {
namespace {

constexpr uint64_t kCanary = 0x5afe57ac5afe57ac;

char* stacks() {
  static char* memory = [] {
    void* p = mmap(nullptr, Fiber::stacks_bytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(p);
  }();
  return memory;
}

char* stack_of(int index) { return stacks() + index * Fiber::kStackBytes; }

}  // namespace

uintptr_t Fiber::stacks_begin() { return reinterpret_cast<uintptr_t>(stacks()); }

bool Fiber::overflowed() const {
  uint64_t value;
  std::memcpy(&value, stack_of(index_), sizeof value);
  return value != kCanary;
}

#ifdef __x86_64__

// Of the System V ABI's registers, a function must keep rbx, rbp, r12 to r15 and rsp.
extern "C" void fc_emulator_switch(void** from, void* to);
asm(R"(
  .text
  .type fc_emulator_switch, @function
  .local fc_emulator_switch
fc_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size fc_emulator_switch, .-fc_emulator_switch
)");

namespace {
void* host_context;
void** running_context;
}  // namespace

void Fiber::prepare(int index, void (*entry)()) {
  index_ = index;
  char* stack = stack_of(index);
  std::memcpy(stack, &kCanary, sizeof kCanary);
  // as if entry had been called: its return address, which is never used, at 16 n + 8
  void** top = reinterpret_cast<void**>(stack + kStackBytes - 16);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context_ = top;
}

void Fiber::enter() {
  running_context = &context_;
  fc_emulator_switch(&host_context, context_);
}

void Fiber::leave() { fc_emulator_switch(running_context, host_context); }

#else  // any other machine: about ten times slower, since it asks the system for the signal mask

namespace {
ucontext_t host_context, contexts[Fiber::kMost];
ucontext_t* running_context;
}  // namespace

void Fiber::prepare(int index, void (*entry)()) {
  index_ = index;
  char* stack = stack_of(index);
  std::memcpy(stack, &kCanary, sizeof kCanary);
  ucontext_t& c = contexts[index];
  getcontext(&c);
  c.uc_stack.ss_sp = stack;
  c.uc_stack.ss_size = kStackBytes;
  c.uc_link = nullptr;
  makecontext(&c, entry, 0);
}

void Fiber::enter() {
  running_context = &contexts[index_];
  swapcontext(&host_context, running_context);
}

void Fiber::leave() { swapcontext(running_context, &host_context); }

#endif

}  // namespace fc::emulator
