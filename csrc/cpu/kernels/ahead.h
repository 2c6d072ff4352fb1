// Memory that the next block reads, fetched a little with each step of this one: the arithmetic
// then does not wait for it.
#pragma once

#include <cstdint>

#include "cpu/kernels/prefetch.h"

namespace fc::FC_ISA {
namespace {

struct Ahead {
  const char* next;  // always in memory that is there: a walk over a missing page is slow
  int64_t step;      // bytes per step; 0: nothing to fetch

  // [begin, end) over so many steps
  template <class T>
  Ahead(const T* begin, const T* end, int64_t steps) : next(reinterpret_cast<const char*>(begin)) {
    const int64_t bytes = (end - begin) * static_cast<int64_t>(sizeof(T));
    step = bytes > 0 && steps > 0 ? (bytes + steps - 1) / steps : 0;
  }
  Ahead() : next(reinterpret_cast<const char*>(this)), step(0) {}

  void fetch() {
    prefetch_early(next);
    next += step;
  }
  // `steps` steps at once, where a step brings several cache lines
  void fetch_lines(int64_t steps) {
    for (int64_t i = 0; i < steps * step; i += 64) prefetch_early(next + i);
    next += steps * step;
  }
};

}  // namespace
}  // namespace fc::FC_ISA
