// The thread pool: parallel_for runs a function over [0, n) in contiguous ranges.
//
// Each thread has a part of [0, n) and walks through it; one that is done takes over from those
// that lag behind, so a thread that the system holds up does not hold up all. Which ranges there
// are depends on the moment, so results must not depend on the cut: a reduction works on chunks
// that the shape alone fixes and combines them in order.
#pragma once

#include <climits>
#include <cstdint>
#include <type_traits>

namespace fc {

int num_threads();
void set_num_threads(int n);  // n >= 1

// thread is in [0, num_threads()); ranges of one call with the same thread run one after another.
using RangeFn = void (*)(void* ctx, int64_t begin, int64_t end, int thread);

// Runs fn over [0, n) on `threads` threads at most; no range is shorter than grain unless n is.
// Returns when all is done; the first exception (by range) is thrown again. Nested calls, and calls
// while another thread uses the pool, run serially in the caller.
void parallel_for(int64_t n, int64_t grain, int threads, RangeFn fn, void* ctx);

// Element operations that make a thread worth waking: some microseconds of vector code.
constexpr int64_t kWorthWaking = 32768;

// Grain for items of `cost` element operations each.
static inline int64_t grain_for(int64_t cost) { return 1 + kWorthWaking / (cost > 0 ? cost : 1); }

// f(begin, end, thread). threads: what a workspace was made for; num_threads() may have grown
// since.
template <class F>
static inline void parallel(int64_t n, int64_t grain, int threads, F&& f) {
  using Body = std::remove_reference_t<F>;
  parallel_for(
      n, grain, threads,
      [](void* ctx, int64_t begin, int64_t end, int thread) {
        (*static_cast<Body*>(ctx))(begin, end, thread);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}
template <class F>
static inline void parallel(int64_t n, int64_t grain, F&& f) {
  parallel(n, grain, INT_MAX, f);
}

}  // namespace fc
