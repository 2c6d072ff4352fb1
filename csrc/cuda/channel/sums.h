// total[i][c] = sum over the rows of term_i(row, c): sums per channel, in two kernels.
//
// The first walks by columns (columns.h). A thread adds up to kRun terms of a channel in float32,
// which is off by at most (kRun-1) * 2^-24 of the sum of their sizes, and those sums in float64; a
// block adds its groups by a tree. The second kernel adds the blocks' sums, again by a tree.
#pragma once

#include "cuda/channel/columns.h"

namespace fc::cuda {

constexpr int kRun = 16;
constexpr int64_t kSumSteps = 8, kSumBlocks = 1024;
constexpr int kFinishChannels = 4;  // 32 bytes of float64

// Doubles of the first kernel's sums: (segments, sums, chunks * rows of a stripe, C).
inline int64_t partial_rows(const ColumnPlan& p) { return int64_t{p.chunks} * p.rows; }

template <class T>
ColumnPlan plan_sums(int64_t segments, int64_t size, int64_t channels) {
  return plan_columns<T>(segments, size, channels, kSumSteps, kSumBlocks);
}

// Bytes of workspace.
template <class T>
int64_t sums_workspace(int64_t segments, int64_t size, int64_t channels, int sums) {
  if (segments * size * channels == 0) return 0;
  const ColumnPlan p = plan_sums<T>(segments, size, channels);
  return segments * sums * partial_rows(p) * channels * static_cast<int64_t>(sizeof(double));
}

// Adds the values of threads (group, column) over the groups; those of group 0 get the sums.
// Every thread of the block calls. mine: the thread's place in shared memory (kValues, kBlock)
template <int kValues>
FC_DEVICE void sum_groups(double* mine, int group, int groups, int columns) {
  for (int left = groups; left > 1;) {
    const int half = (left + 1) / 2;
    __syncthreads();
    if (group < left - half) {
#pragma unroll
      for (int i = 0; i < kValues; ++i) mine[i * kBlock] += mine[i * kBlock + half * columns];
    }
    left = half;
  }
}

// += the sums of a run, (kValues)
template <int kValues>
FC_DEVICE void add_run(double* mine, const float* run) {
#pragma unroll
  for (int i = 0; i < kValues; ++i) mine[i * kBlock] += run[i];
}

// F: kN, kAligned, kBatch, kSums; channels(walk) loads what belongs to the thread's channels;
// read(part, at, row, channels) loads; add(part, at, loaded, channels, run) adds the terms to run
// (kSums, kN) and may store; close(walk, channels, total) has the thread's last word on its totals
// (kSums, kN), which are kBlock apart: shared memory, the registers are for what is on the way.
// Two blocks per multiprocessor have enough on the way; the compiler need not save registers.
template <class F>
__global__ void __launch_bounds__(kBlock, 2)
    sum_columns_kernel(ColumnPlan plan, F f, double* __restrict__ partial) {
  constexpr int kN = F::kN, kValues = F::kSums * kN;
  using Walk = ColumnWalk<kN, F::kAligned>;
  const Walk walk(plan);
  double* total = shared_memory<double>() + threadIdx.x;  // (kSums, kN), kBlock apart
#pragma unroll
  for (int i = 0; i < kValues; ++i) total[i * kBlock] = 0;
  if (walk.there()) {
    const auto channels = f.channels(walk);
    const typename Walk::Whole whole;
    for (int begin = 0; begin < walk.count(); begin += kRun) {
      const int end = begin + kRun < walk.count() ? begin + kRun : walk.count();
      float run[kValues] = {};
      walk.template forwards<F::kBatch>(
          begin, end, [&](int i) { return f.read(whole, walk.at(i), walk.row(i), channels); },
          [&](int i, const auto& loaded) { f.add(whole, walk.at(i), loaded, channels, run); });
      add_run<kValues>(total, run);
    }
    if (walk.last().count()) {
      const int64_t at = walk.at(walk.count()), row = walk.row(walk.count());
      float run[kValues] = {};
      f.add(walk.last(), at, f.read(walk.last(), at, row, channels), channels, run);
      add_run<kValues>(total, run);
    }
    f.close(walk, channels, total);
  }
  sum_groups<kValues>(total, walk.group(), plan.groups, plan.columns);
  // the sums lie in shared memory as threads had them; neighbouring threads store neighbours
  __syncthreads();
  const double* sums = shared_memory<double>();
  const int begin = walk.tile() * plan.columns, rest = plan.period - begin;
  const int elements = (rest < plan.columns ? rest : plan.columns) * kN;
#pragma unroll
  for (int s = 0; s < F::kSums; ++s) {
    const int64_t row = (int64_t{walk.segment()} * F::kSums + s) * plan.chunks + walk.chunk();
    double* out = partial + (row * plan.period + begin) * kN;
    for (int e = static_cast<int>(threadIdx.x); e < elements; e += kBlock) {
      out[e] = sums[(s * kN + e % kN) * kBlock + e / kN];
    }
  }
}

// finish(segment, c, total): what becomes of the sums
template <int kSums, class Finish>
__global__ void __launch_bounds__(kBlock)
    finish_sums_kernel(const double* __restrict__ partial, int64_t rows, int channels,
                       Finish finish) {
  constexpr int kGroups = kBlock / kFinishChannels;
  const int blocks = ceil_div(channels, kFinishChannels), block = static_cast<int>(blockIdx.x);
  const int segment = block / blocks, group = static_cast<int>(threadIdx.x) / kFinishChannels;
  const int c = block % blocks * kFinishChannels + static_cast<int>(threadIdx.x) % kFinishChannels;
  double total[kSums] = {};
  if (c < channels) {
    partial += segment * kSums * rows * channels + c;
#pragma unroll 4
    for (int64_t r = group; r < rows; r += kGroups) {
#pragma unroll
      for (int s = 0; s < kSums; ++s) total[s] += partial[(s * rows + r) * channels];
    }
  }
  double* mine = shared_memory<double>() + threadIdx.x;  // (kSums), kBlock apart
#pragma unroll
  for (int s = 0; s < kSums; ++s) mine[s * kBlock] = total[s];
  sum_groups<kSums>(mine, group, kGroups, kFinishChannels);
  if (group > 0 || c >= channels) return;
#pragma unroll
  for (int s = 0; s < kSums; ++s) total[s] = mine[s * kBlock];
  finish(segment, c, total);
}

// T: what is stored. size: elements of a segment, not 0
template <class T, class F, class Finish>
void sum_columns(const F& f, const Finish& finish, int64_t segments, int64_t size, int64_t channels,
                 void* workspace, Stream stream) {
  const ColumnPlan plan = plan_sums<T>(segments, size, channels);
  auto* partial = static_cast<double*>(workspace);
  constexpr size_t kScratch = kBlock * sizeof(double);
  launch(sum_columns_kernel<F>, plan.grid(), kBlock, F::kSums * F::kN * kScratch, stream, plan, f,
         partial);
  const auto blocks = static_cast<unsigned>(segments * ceil_div(channels, kFinishChannels));
  launch(finish_sums_kernel<F::kSums, Finish>, blocks, kBlock, F::kSums * kScratch, stream, partial,
         partial_rows(plan), static_cast<int>(channels), finish);
}

}  // namespace fc::cuda
