#include "cpu/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/cpu_count.h"

namespace fc {
namespace {

// Pieces of a job per part at most: what a part that lags behind can give away.
constexpr int64_t kPieces = 16;
// How long a thread without work stays awake. Falling asleep and waking up takes longer than a
// small kernel, and the next one is mostly that near.
constexpr std::chrono::microseconds kAwake(500);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Waits for done(), but no longer than kAwake; whoever else wants this core gets it.
template <class F>
void stay_awake(F&& done) {
  const auto end = std::chrono::steady_clock::now() + kAwake;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return;
      pause();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
}

// The pieces [begin, end) that a part has left. Its owner takes from the front, so that it walks
// along memory; parts without work take from the back.
class alignas(64) Share {
 public:
  void set(int64_t begin, int64_t end) { word_ = end << 32 | begin; }

  // Half of what is left, rounded up: fewer and fewer pieces towards the end, where parts must
  // meet. False if nothing is left.
  bool take(bool front, int64_t* first, int64_t* last) {
    int64_t word = word_.load();
    for (;;) {
      const int64_t begin = word & 0xffffffff, end = word >> 32;
      if (begin >= end) return false;
      const int64_t count = (end - begin + 1) / 2;
      *first = front ? begin : end - count;
      *last = *first + count;
      const int64_t left = front ? end << 32 | *last : *first << 32 | begin;
      if (word_.compare_exchange_weak(word, left)) return true;
    }
  }

 private:
  std::atomic<int64_t> word_{0};
};

struct Job {
  RangeFn fn = nullptr;
  void* ctx = nullptr;
  int64_t n = 0, pieces = 0;
  int parts = 0;

  void run(int64_t first, int64_t last, int part) const { fn(ctx, edge(first), edge(last), part); }
  int64_t edge(int64_t piece) const {
    return n / pieces * piece + std::min<int64_t>(piece, n % pieces);
  }
};

// Worker i has part i + 1 of each job, the caller part 0. A job is over when no piece is left and
// nobody works on one: a worker that wakes up too late finds it closed, and is not waited for.
class Pool {
 public:
  void run(const Job& job) {
    while (static_cast<int>(workers_.size()) < job.parts - 1) {
      const int part = static_cast<int>(workers_.size()) + 1;
      workers_.emplace_back([this, part, seen = generation_.load()] { work(part, seen); });
    }
    if (static_cast<int>(shares_.size()) < job.parts) shares_ = std::vector<Share>(job.parts);
    for (int part = 0; part < job.parts; ++part) {
      shares_[part].set(job.pieces * part / job.parts, job.pieces * (part + 1) / job.parts);
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      open_ = true;
      ++generation_;
    }
    wake_.notify_all();
    help(job, 0);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open_ = false;
    }
    stay_awake([this] { return working_.load() == 0; });
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return working_ == 0; });
    // the caller owns what was thrown: nothing of it stays in the pool
    if (std::exception_ptr first = std::exchange(error_, nullptr)) std::rethrow_exception(first);
  }

  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      ++generation_;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

 private:
  void work(int part, uint64_t seen);

  // Its own pieces, then those of the parts behind it.
  void help(const Job& job, int part) {
    int64_t first, last;
    for (int i = 0; i < job.parts; ++i) {
      const int owner = (part + i) % job.parts;
      while (shares_[owner].take(i == 0, &first, &last)) guarded(job, first, last, part);
    }
  }

  void guarded(const Job& job, int64_t first, int64_t last, int part) {
    try {
      job.run(first, last, part);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (error_ && error_piece_ < first) return;
      error_ = std::current_exception();
      error_piece_ = first;
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::vector<Share> shares_;
  Job job_;
  bool open_ = false, stopping_ = false;
  std::exception_ptr error_;  // of the first piece that threw
  int64_t error_piece_ = 0;
  // written under the mutex, waited for without
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> working_{0};
};

// Held by whoever uses the pool, through fork too; both are made anew in a forked child, which has
// no worker threads and whose copies may be in any state.
struct Shared {
  std::mutex busy;
  Pool* pool = nullptr;
};
Shared* shared = new Shared;
int configured = cpu_count();
thread_local bool inside = false;

void Pool::work(int part, uint64_t seen) {
  inside = true;
  for (;;) {
    stay_awake([&] { return generation_.load() != seen; });
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return generation_ != seen; });
    if (stopping_) return;
    seen = generation_;
    if (!open_ || part >= job_.parts) continue;
    const Job job = job_;
    ++working_;
    lock.unlock();
    help(job, part);
    lock.lock();
    if (--working_ == 0) done_.notify_one();
  }
}

void after_fork_in_child() {
  shared = new Shared;  // the old one is left alone: its threads do not exist here
  inside = false;
}

const int registered = pthread_atfork(nullptr, nullptr, after_fork_in_child);

}  // namespace

int num_threads() { return __atomic_load_n(&configured, __ATOMIC_RELAXED); }

void set_num_threads(int n) {
  if (n < 1) {
    throw std::invalid_argument("set_num_threads: n must be at least 1, came " + std::to_string(n));
  }
  std::lock_guard<std::mutex> lock(shared->busy);
  __atomic_store_n(&configured, n, __ATOMIC_RELAXED);
  if (shared->pool) {
    shared->pool->stop();
    delete shared->pool;
    shared->pool = nullptr;
  }
}

void parallel_for(int64_t n, int64_t grain, int threads, RangeFn fn, void* ctx) {
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int parts = static_cast<int>(std::min<int64_t>(std::min(threads, num_threads()), most));
  std::unique_lock<std::mutex> lock(shared->busy, std::defer_lock);
  if (parts <= 1 || inside || !lock.try_lock()) {
    fn(ctx, 0, n, 0);
    return;
  }
  if (!shared->pool) shared->pool = new Pool;
  inside = true;
  struct Leave {
    ~Leave() { inside = false; }
  } leave;
  shared->pool->run({fn, ctx, n, std::min(most, parts * kPieces), parts});
}

}  // namespace fc
