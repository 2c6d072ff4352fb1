// The ways to multiply that gemm.cpp chooses from, one file each.
#pragma once

#include "cpu/gemm.h"

namespace fc::FC_ISA {

constexpr int64_t kAlign = 64;
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// gemm_rows.cpp: rows of A are rows i. B in panels: (groups, panels, k, columns of the panel).
int64_t rows_workspace(const GemmJob<float>& job, int threads);
int64_t rows_workspace(const GemmJob<double>& job, int threads);
void rows_product(const GemmJob<float>& job, int threads, void* workspace);
void rows_product(const GemmJob<double>& job, int threads, void* workspace);
int64_t packed_b_elements(const GemmJob<float>& job);
int64_t packed_b_elements(const GemmJob<double>& job);
void pack_b(const GemmJob<float>& job, float* packed);
void pack_b(const GemmJob<double>& job, double* packed);

// gemm_reduce.cpp: rows of A are l, a long sum over few results.
int64_t reduce_workspace(const GemmJob<float>& job, int threads);
int64_t reduce_workspace(const GemmJob<double>& job, int threads);
void reduce_product(const GemmJob<float>& job, int threads, void* workspace);
void reduce_product(const GemmJob<double>& job, int threads, void* workspace);

// gemm_dots.cpp: few rows against a matrix whose rows also run along l, which is read once.
bool is_dots(const GemmJob<float>& job);
bool is_dots(const GemmJob<double>& job);
void dots_product(const GemmJob<float>& job);
void dots_product(const GemmJob<double>& job);

// depthwise.cpp: a channel per group. B in rows of all channels: (k, channels in whole vectors).
int64_t depthwise_workspace(const GemmJob<float>& job, int threads);
int64_t depthwise_workspace(const GemmJob<double>& job, int threads);
void depthwise_product(const GemmJob<float>& job, int threads, void* workspace);
void depthwise_product(const GemmJob<double>& job, int threads, void* workspace);
int64_t depthwise_packed_elements(const GemmJob<float>& job);
int64_t depthwise_packed_elements(const GemmJob<double>& job);
void depthwise_pack(const GemmJob<float>& job, float* packed);
void depthwise_pack(const GemmJob<double>& job, double* packed);

// depthwise_wgrad.cpp: the same, a_by_k.
int64_t depthwise_wgrad_workspace(const GemmJob<float>& job, int threads);
int64_t depthwise_wgrad_workspace(const GemmJob<double>& job, int threads);
void depthwise_wgrad_product(const GemmJob<float>& job, int threads, void* workspace);
void depthwise_wgrad_product(const GemmJob<double>& job, int threads, void* workspace);

}  // namespace fc::FC_ISA
