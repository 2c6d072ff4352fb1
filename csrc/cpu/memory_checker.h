// Tells AddressSanitizer and valgrind which bytes of the heap an array may use: they know malloc's
// blocks, not those that allocator.cpp cuts from a reservation.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif

namespace fc {

#if defined(__SANITIZE_ADDRESS__)
inline bool memory_is_checked() { return true; }
inline void forbid_memory(const void* p, size_t bytes) { ASAN_POISON_MEMORY_REGION(p, bytes); }
inline void allow_memory(const void* p, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(p, bytes); }
#elif defined(VALGRIND_MAKE_MEM_NOACCESS)
inline bool memory_is_checked() { return RUNNING_ON_VALGRIND; }
inline void forbid_memory(const void* p, size_t bytes) { VALGRIND_MAKE_MEM_NOACCESS(p, bytes); }
inline void allow_memory(const void* p, size_t bytes) { VALGRIND_MAKE_MEM_UNDEFINED(p, bytes); }
#else
inline bool memory_is_checked() { return false; }
inline void forbid_memory(const void*, size_t) {}
inline void allow_memory(const void*, size_t) {}
#endif

}  // namespace fc
