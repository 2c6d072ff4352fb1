// How a product is cut into tasks and chunks, and what workspace that takes.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels/micro_kernel.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kAlign = 64;
// a task computes at most this many rows and columns
constexpr int64_t kMb = 8 * kMr;
template <class T>
constexpr int64_t kNb = 8 * kNr<T>;
// B is packed once, before the tasks, up to this size
constexpr int64_t kPackedLimit = int64_t{32} << 20;
// chunks of l are made until there are so many tasks
constexpr int64_t kWantedTasks = 32;
// up to so many rows against a transposed B (a linear layer on few images) are single dot products:
// packing B would cost more than multiplying by it
constexpr int64_t kDotRows = 4;

// multiply-adds that make a thread worth waking: sixteen to a vector, two vectors at once
constexpr int64_t kMacsPerThread = 16 * kWorthWaking;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

struct Plan {
  int64_t mb, nb;  // rows and columns of a task
  int64_t blocks_m, blocks_n;
  int64_t chunk, chunks;                       // of l; fixed by the shape
  bool prepacked;                              // B is packed before the tasks
  int64_t packed_b, task_a, task_b, partials;  // workspace, in bytes
  int threads;

  int64_t tasks(int64_t groups) const { return groups * chunks * blocks_m * blocks_n; }
};

// Plain matrices whose rows both run along l.
template <class T>
bool is_dots(const GemmJob<T>& job) {
  return job.m <= kDotRows && job.groups == 1 && !job.a_by_k && !job.b_by_k && job.k > 0 &&
         job.a.s1 == 0 && job.b.s1 == 0 && !job.a.prologue.scale;
}

template <class T>
Plan make_plan(const GemmJob<T>& job, int threads) {
  Plan p;
  const int64_t worth = job.groups * job.m * job.n * job.k / kMacsPerThread;
  if (worth < threads) threads = worth > 1 ? static_cast<int>(worth) : 1;
  const int64_t tiles = job.groups * ceil_div(job.m, kMb) * ceil_div(job.n, kNb<T>);
  int64_t chunks = tiles > 0 ? kWantedTasks / tiles : 1;
  if (chunks > job.k / (4 * kKc<T>)) chunks = job.k / (4 * kKc<T>);
  if (chunks < 1) chunks = 1;
  p.chunk = round_up(ceil_div(job.k, chunks), kKc<T>);
  if (p.chunk == 0) p.chunk = kKc<T>;
  p.chunks = job.k > 0 ? ceil_div(job.k, p.chunk) : 1;

  p.mb = kMb;
  p.nb = kNb<T>;
  for (;;) {
    p.blocks_m = ceil_div(job.m, p.mb);
    p.blocks_n = ceil_div(job.n, p.nb);
    if (threads == 1 || p.tasks(job.groups) >= 4 * threads) break;
    if (p.nb > 2 * kNr<T>) {
      p.nb /= 2;
    } else if (p.mb > kMr) {
      p.mb = p.mb / 2 / kMr * kMr;
    } else {
      break;
    }
  }
  const int64_t columns = round_up(job.n, kNr<T>);
  p.packed_b = round_up(job.groups * job.k * columns * sizeof(T), kAlign);
  p.prepacked = p.blocks_m > 1 && p.packed_b <= kPackedLimit;
  if (!p.prepacked) p.packed_b = 0;
  p.task_a = round_up(p.mb * kLda<T> * sizeof(T), kAlign);
  p.task_b = p.prepacked ? 0 : kKc<T> * kNr<T> * sizeof(T);
  p.partials = 0;
  if (p.chunks > 1) {
    p.partials = round_up(p.chunks * job.groups * job.m * job.n * sizeof(T), kAlign);
  }
  const int64_t tasks = p.tasks(job.groups);
  p.threads = static_cast<int>(tasks < threads ? (tasks > 0 ? tasks : 1) : threads);
  return p;
}

}  // namespace
}  // namespace fc::FC_ISA
