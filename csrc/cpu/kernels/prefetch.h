// Asking for memory before it is read.
#pragma once

namespace fc::FC_ISA {
namespace {

// The line of p, into the first-level cache; of a page that is not there too: nothing is read. The
// empty asm stays where it is: GCC takes what only prefetches for code without effects, and drops
// it.
inline void prefetch(const void* p) {
  __builtin_prefetch(p);
  __asm__ volatile("");
}

// Into the second-level cache: what is read much later does not push out what is read now.
inline void prefetch_early(const void* p) {
  __builtin_prefetch(p, 0, 2);
  __asm__ volatile("");
}

}  // namespace
}  // namespace fc::FC_ISA
