#include "emulator/fiber.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <new>

namespace fc::emulator {
namespace {

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// The lowest page of each may not be touched: a full stack ends there.
char* new_stacks() {
  void* p = mmap(nullptr, Fiber::stacks_bytes(), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  for (int i = 0; i < Fiber::kMost; ++i) {
    mprotect(static_cast<char*>(p) + i * Fiber::kStackBytes, page_bytes(), PROT_NONE);
  }
  return static_cast<char*>(p);
}

char* stack_of(int index) {
  static char* const stacks = new_stacks();
  return stacks + index * Fiber::kStackBytes;
}

// ---- the end of a stack

void (*found_full)(const void* pc);
struct sigaction previous_action;
stack_t previous_stack;

const void* pc_of(void* context) {
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
#ifdef __x86_64__
  return reinterpret_cast<const void*>(registers.gregs[REG_RIP]);
#else
  return reinterpret_cast<const void*>(registers.pc);
#endif
}

void on_fault(int, siginfo_t* info, void* context) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(info->si_addr) - Fiber::stacks_begin();
  if (at < Fiber::stacks_bytes() && at % Fiber::kStackBytes < page_bytes()) {
    found_full(pc_of(context));
  }
  // not ours: the instruction runs again, and faults for those who were here before
  sigaction(SIGSEGV, &previous_action, nullptr);
}

}  // namespace

StackWatch::StackWatch(void (*found)(const void* pc)) {
  static char stack[size_t{64} << 10];
  found_full = found;
  stack_t ours{};
  ours.ss_sp = stack;
  ours.ss_size = sizeof stack;
  sigaltstack(&ours, &previous_stack);
  struct sigaction action{};
  action.sa_sigaction = on_fault;
  // nothing blocked: the handler is left for good
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &action, &previous_action);
}

StackWatch::~StackWatch() {
  sigaction(SIGSEGV, &previous_action, nullptr);
  sigaltstack(&previous_stack, nullptr);
}

uintptr_t Fiber::stacks_begin_ = 0;

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
  stacks_begin_ = reinterpret_cast<uintptr_t>(stack_of(0));
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
  stacks_begin_ = reinterpret_cast<uintptr_t>(stack_of(0));
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
