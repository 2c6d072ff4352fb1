#include "cpu/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace fc {
namespace {

// ---- how many threads this process may use

// CPUs allowed by one cgroup file pair or "max"-style file; 0 if there is no limit.
double quota_of(const std::string& path, bool v2) {
  double quota = -1, period = 0;
  if (v2) {
    std::ifstream file(path + "/cpu.max");
    std::string first;
    if (!(file >> first >> period) || first == "max") return 0;
    quota = std::stod(first);
  } else {
    std::ifstream(path + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(path + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The tightest limit from this process's cgroup up to the root.
double cgroup_cpus() {
  double limit = 0;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const size_t a = line.find(':'), b = line.find(':', a + 1);
    if (b == std::string::npos) continue;
    const std::string controllers = line.substr(a + 1, b - a - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    for (std::string path = line.substr(b + 1);; path.erase(path.rfind('/'))) {
      const double cpus = quota_of(root + path, v2);
      if (cpus > 0 && (limit == 0 || cpus < limit)) limit = cpus;
      if (path.find('/') == std::string::npos) break;
    }
  }
  return limit;
}

int default_threads() {
  int cpus = std::max(1u, std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  const double limit = cgroup_cpus();
  if (limit > 0) cpus = std::max(1, std::min(cpus, static_cast<int>(limit + 0.999)));
#endif
  return cpus;
}

// ---- the pool

struct Job {
  RangeFn fn = nullptr;
  void* ctx = nullptr;
  int64_t n = 0;
  int parts = 0;

  void run(int part) const {
    const int64_t begin = n / parts * part + std::min<int64_t>(part, n % parts);
    fn(ctx, begin, begin + n / parts + (part < n % parts), part);
  }
};

// The gap between two kernels is mostly shorter than falling asleep and waking up.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

class Pool {
 public:
  // Worker i runs part i + 1 of each job; the caller runs part 0.
  void run(const Job& job) {
    errors_.assign(job.parts, nullptr);
    while (static_cast<int>(workers_.size()) < job.parts - 1) {
      const int part = static_cast<int>(workers_.size()) + 1;
      workers_.emplace_back([this, part, seen = generation_.load()] { work(part, seen); });
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      pending_ = job.parts - 1;
      ++generation_;
    }
    wake_.notify_all();
    guarded(job, 0);
    for (int i = 0; i < kSpins && pending_.load() != 0; ++i) pause();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    // the caller owns what was thrown: nothing of it stays in the pool
    std::exception_ptr first;
    for (std::exception_ptr& error : errors_) {
      if (error && !first) first = error;
      error = nullptr;
    }
    if (first) std::rethrow_exception(first);
  }

  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

 private:
  void work(int part, uint64_t seen);

  void guarded(const Job& job, int part) {
    try {
      job.run(part);
    } catch (...) {
      errors_[part] = std::current_exception();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::vector<std::exception_ptr> errors_;  // one per part
  Job job_;
  std::atomic<uint64_t> generation_{0};  // written under the mutex, spun on without
  std::atomic<int> pending_{0};
  bool stopping_ = false;
};

// Held by whoever uses the pool, through fork too; both are made anew in a forked child, which has
// no worker threads and whose copies may be in any state.
struct Shared {
  std::mutex busy;
  Pool* pool = nullptr;
};
Shared* shared = new Shared;
int configured = default_threads();
thread_local bool inside = false;

void Pool::work(int part, uint64_t seen) {
  inside = true;
  for (;;) {
    for (int i = 0; i < kSpins && generation_.load() == seen; ++i) pause();
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
    if (stopping_) return;
    seen = generation_;
    if (part >= job_.parts) continue;
    const Job job = job_;
    lock.unlock();
    guarded(job, part);
    lock.lock();
    if (--pending_ == 0) done_.notify_one();
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

void parallel_for(int64_t n, int64_t grain, RangeFn fn, void* ctx) {
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int parts = static_cast<int>(std::min<int64_t>(num_threads(), most));
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
  shared->pool->run({fn, ctx, n, parts});
}

}  // namespace fc
