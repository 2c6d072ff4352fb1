// The thread pool: parallel_for cuts [0, n) into at most num_threads() contiguous ranges.
//
// How a range is cut depends on the number of threads, so results must not depend on the cut: a
// reduction works on chunks that the shape alone fixes and combines them in order.
#pragma once

#include <cstdint>
#include <type_traits>

namespace fc {

int num_threads();
void set_num_threads(int n);  // n >= 1

// thread is in [0, num_threads()) and unique among the ranges of one call.
using RangeFn = void (*)(void* ctx, int64_t begin, int64_t end, int thread);

// Runs fn over [0, n); no range but the last is shorter than grain. Returns when all is done; the
// first exception (by range) is thrown again. Nested calls, and calls while another thread uses the
// pool, run serially in the caller.
void parallel_for(int64_t n, int64_t grain, RangeFn fn, void* ctx);

// Element operations that make a thread worth waking: some microseconds of vector code.
constexpr int64_t kWorthWaking = 32768;

// Grain for items of `cost` element operations each.
static inline int64_t grain_for(int64_t cost) { return 1 + kWorthWaking / (cost > 0 ? cost : 1); }

// f(begin, end, thread)
template <class F>
static inline void parallel(int64_t n, int64_t grain, F&& f) {
  using Body = std::remove_reference_t<F>;
  parallel_for(
      n, grain,
      [](void* ctx, int64_t begin, int64_t end, int thread) {
        (*static_cast<Body*>(ctx))(begin, end, thread);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace fc
