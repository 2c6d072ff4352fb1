// What g++ calls where kernels touch memory or compute with int: -fsanitize=thread and the others
// of kernel_flags.txt put the calls in; these definitions take the place of the sanitizers'
// libraries, which are not linked.
#include <cstring>
#include <string>

#include "emulator/machine.h"
#include "emulator/memory.h"

using fc::emulator::access;
using fc::emulator::AccessKind;

#define CALLER __builtin_return_address(0)

namespace {

// An access of any size and alignment, as pieces that hardware would make of it.
void access_range(const void* p, size_t bytes, AccessKind kind, const void* pc) {
  const auto* at = static_cast<const char*>(p);
  while (bytes) {
    size_t piece = 16;
    while (piece > bytes || reinterpret_cast<uintptr_t>(at) % piece) piece /= 2;
    access(at, piece, kind, pc);
    at += piece;
    bytes -= piece;
  }
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void __tsan_read1(void* p) { access(p, 1, AccessKind::kRead, CALLER); }
void __tsan_read2(void* p) { access(p, 2, AccessKind::kRead, CALLER); }
void __tsan_read4(void* p) { access(p, 4, AccessKind::kRead, CALLER); }
void __tsan_read8(void* p) { access(p, 8, AccessKind::kRead, CALLER); }
void __tsan_read16(void* p) { access(p, 16, AccessKind::kRead, CALLER); }
void __tsan_write1(void* p) { access(p, 1, AccessKind::kWrite, CALLER); }
void __tsan_write2(void* p) { access(p, 2, AccessKind::kWrite, CALLER); }
void __tsan_write4(void* p) { access(p, 4, AccessKind::kWrite, CALLER); }
void __tsan_write8(void* p) { access(p, 8, AccessKind::kWrite, CALLER); }
void __tsan_write16(void* p) { access(p, 16, AccessKind::kWrite, CALLER); }
// g++ is sure of the alignment or not; the hardware wants it anyway
void __tsan_unaligned_read2(void* p) { access(p, 2, AccessKind::kRead, CALLER); }
void __tsan_unaligned_read4(void* p) { access(p, 4, AccessKind::kRead, CALLER); }
void __tsan_unaligned_read8(void* p) { access(p, 8, AccessKind::kRead, CALLER); }
void __tsan_unaligned_read16(void* p) { access(p, 16, AccessKind::kRead, CALLER); }
void __tsan_unaligned_write2(void* p) { access(p, 2, AccessKind::kWrite, CALLER); }
void __tsan_unaligned_write4(void* p) { access(p, 4, AccessKind::kWrite, CALLER); }
void __tsan_unaligned_write8(void* p) { access(p, 8, AccessKind::kWrite, CALLER); }
void __tsan_unaligned_write16(void* p) { access(p, 16, AccessKind::kWrite, CALLER); }
void __tsan_read_range(void* p, unsigned long n) { access_range(p, n, AccessKind::kRead, CALLER); }
void __tsan_write_range(void* p, unsigned long n) {
  access_range(p, n, AccessKind::kWrite, CALLER);
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
// the guard of a static local variable, in host code
char __tsan_atomic8_load(const volatile char* p, int) { return *p; }

// ---- arithmetic and local arrays: the first argument begins with where it happens

struct SourcePlace {
  const char* file;
  uint32_t line, column;
};

static void stop_at(const SourcePlace* place, const char* what, const void* pc) {
  if (!fc::emulator::running()) return;
  fc::emulator::stop(std::string(what) + " (column " + std::to_string(place->column) + ")", pc);
}

void __ubsan_handle_add_overflow(SourcePlace* p, void*, void*) {
  stop_at(p, "signed integer overflow in +", CALLER);
}
void __ubsan_handle_sub_overflow(SourcePlace* p, void*, void*) {
  stop_at(p, "signed integer overflow in -", CALLER);
}
void __ubsan_handle_mul_overflow(SourcePlace* p, void*, void*) {
  stop_at(p, "signed integer overflow in *", CALLER);
}
void __ubsan_handle_negate_overflow(SourcePlace* p, void*) {
  stop_at(p, "signed integer overflow in negation", CALLER);
}
void __ubsan_handle_shift_out_of_bounds(SourcePlace* p, void*, void*) {
  stop_at(p, "shift out of bounds", CALLER);
}
void __ubsan_handle_divrem_overflow(SourcePlace* p, void*, void*) {
  stop_at(p, "division by zero, or of the least int by -1", CALLER);
}
void __ubsan_handle_out_of_bounds(SourcePlace* p, void*) {
  stop_at(p, "index out of bounds of a local array", CALLER);
}

}  // extern "C"
