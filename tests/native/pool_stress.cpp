// The thread pool under everything at once: several callers, a changing number of threads, nested
// calls, exceptions, fork. Built with ThreadSanitizer by tools/sanitize.py; exits with 0 if all
// sums are right.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cpu/parallel.h"

namespace {

std::atomic<int> wrong{0};

void expect(bool right, const char* what) {
  if (right) return;
  ++wrong;
  std::fprintf(stderr, "pool_stress: %s\n", what);
}

// Every element is written once; the plain array lets the sanitizer see a missing happens-before.
void fill(int64_t n) {
  std::vector<int64_t> values(n, 0);
  fc::parallel(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) values[i] += i;
  });
  int64_t sum = 0;
  for (int64_t value : values) sum += value;
  expect(sum == n * (n - 1) / 2, "an element was left out or written twice");
}

void nest(int64_t n) {
  std::vector<int64_t> values(n * n, 0);
  fc::parallel(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      fc::parallel(n, 1, [&](int64_t from, int64_t to, int) {
        for (int64_t j = from; j < to; ++j) values[i * n + j] = 1;
      });
    }
  });
  int64_t sum = 0;
  for (int64_t value : values) sum += value;
  expect(sum == n * n, "a nested call left something out");
}

// Every part throws its first index: that of the first part arrives.
void fail(int64_t n) {
  try {
    fc::parallel(
        n, 1, [](int64_t begin, int64_t, int) { throw std::runtime_error(std::to_string(begin)); });
    expect(false, "no exception arrived");
  } catch (const std::runtime_error& error) {
    expect(std::string(error.what()) == "0", "not the first exception arrived");
  }
}

// The caller waits in its first range until another thread has one.
void meet() {
  std::atomic<bool> met{false};
  fc::parallel(64, 1, [&](int64_t, int64_t, int thread) {
    if (thread > 0) met = true;
    for (int i = 0; i < 10000 && !met; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  expect(met, "no other thread took part");
}

// A thread that lags behind gives away what it has not begun.
void lag() {
  constexpr int64_t kCount = 64;
  std::atomic<int64_t> by_caller{0};
  fc::parallel(kCount, 1, [&](int64_t begin, int64_t end, int thread) {
    if (thread == 0) {
      by_caller += end - begin;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  expect(by_caller > kCount / fc::num_threads(), "the caller waited for threads that lag");
}

void everything(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    fill(1 + round * 37 % 500);
    nest(1 + round % 9);
    fail(1 + round % 11);
  }
}

void in_child(int depth) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // a hang is a failure
    const int before = wrong;
    fc::set_num_threads(3);
    everything(20);
    if (depth > 1) in_child(depth - 1);
    _exit(wrong != before);
  }
  int status = 0;
  waitpid(child, &status, 0);
  expect(status == 0, "a forked child failed");
}

}  // namespace

int main() {
  alarm(500);
  fc::set_num_threads(4);
  everything(50);
  meet();
  lag();
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back([] { everything(200); });
  callers.emplace_back([] {
    for (int i = 0; i < 200; ++i) {
      fc::set_num_threads(1 + i % 7);
      fill(100);
    }
  });
  for (int i = 0; i < 5; ++i) in_child(2);  // while the callers run
  for (std::thread& caller : callers) caller.join();
  in_child(1);
  everything(20);
  std::printf("pool_stress: %d wrong\n", wrong.load());
  return wrong != 0;
}
