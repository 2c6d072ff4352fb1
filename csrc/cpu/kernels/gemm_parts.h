// The ways to multiply that gemm.cpp chooses from, one file each, and what these files share.
#pragma once

#include "cpu/gemm.h"

namespace fc::FC_ISA {

constexpr int64_t kAlign = 64;
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// A workspace holds what the threads share, then a part for each of them, from the first boundary
// of kAlign: nobody promises where it begins.
template <class Plan>
static inline int64_t workspace_bytes(const Plan& plan, int threads) {
  return kAlign + plan.shared_bytes() + threads * plan.thread_bytes();
}
static inline char* aligned(void* workspace) {
  return reinterpret_cast<char*>(round_up(reinterpret_cast<intptr_t>(workspace), kAlign));
}

// One way; null what it does not have. A table, since a template that other objects call would be
// a weak symbol.
template <class T>
struct GemmWay {
  int64_t (*workspace)(const GemmJob<T>& job, int threads);
  void (*product)(const GemmJob<T>& job, int threads, void* workspace);
  int64_t (*packed_elements)(const GemmJob<T>& job) = nullptr;
  void (*pack)(const GemmJob<T>& job, T* packed) = nullptr;
};
struct GemmWays {
  GemmWay<float> f32;
  GemmWay<double> f64;
};

// The way of a file whose Plan says what Product(job, threads, workspace).run() needs.
template <class Plan, class Product, class T>
static inline GemmWay<T> way_of() {
  return {[](const GemmJob<T>& job, int threads) { return workspace_bytes(Plan(job), threads); },
          [](const GemmJob<T>& job, int threads, void* workspace) {
            Product(job, threads, workspace).run();
          }};
}

// gemm_rows.cpp: rows of A are rows i. B in panels: (groups, panels, k, columns of the panel).
GemmWays rows_way();

// gemm_reduce.cpp: rows of A are l, a long sum over few results.
GemmWays reduce_way();

// depthwise.cpp: a channel per group. B in rows of all channels: (k, channels in whole vectors).
GemmWays depthwise_way();

// depthwise_wgrad.cpp: the same, a_by_k.
GemmWays depthwise_wgrad_way();

// winograd.cpp: windows of 3 x 3 with stride 1, one group. B in panels: (panels, 36 frequencies,
// channels, columns of the panel).
GemmWays winograd_way();

// winograd_wgrad.cpp: the same, a_by_k.
GemmWays winograd_wgrad_way();

// gemm_dots.cpp: few rows against a matrix whose rows also run along l, which is read once.
bool is_dots(const GemmJob<float>& job);
bool is_dots(const GemmJob<double>& job);
void dots_product(const GemmJob<float>& job);
void dots_product(const GemmJob<double>& job);

// gemm_combine.cpp: the same, where its rows are l.
bool is_combination(const GemmJob<float>& job);
bool is_combination(const GemmJob<double>& job);
void combine_product(const GemmJob<float>& job);
void combine_product(const GemmJob<double>& job);

}  // namespace fc::FC_ISA
