// Correct kernels: what must give the same bits in every order, what the emulator's speed is
// measured on (benchmarks/emulator.py), and where nvcc has to use cp.async.
#include "cuda/device/async_copy.h"
#include "harness.h"

namespace fc::selftest {
namespace {

using namespace fc::cuda;

constexpr int kTile = 64, kDepth = 16, kThreads = 256, kEach = 4;

struct Tiles {
  float a[kTile * kDepth];  // (kTile, kDepth)
  float b[kDepth * kTile];  // (kDepth, kTile)
};

// c = a b, tiles in shared memory, filled by loads and stores or by cp.async, one ahead.
// a (m, k), b (k, n), c (m, n); m and n are multiples of kTile, k of kDepth
template <bool kAsync>
__global__ void __launch_bounds__(kThreads)
    gemm(const float* a, const float* b, float* c, int n, int k) {
  Tiles* tiles = shared_memory<Tiles>();  // (2)
  const int t = static_cast<int>(threadIdx.x);
  const int m0 = static_cast<int>(blockIdx.y) * kTile, n0 = static_cast<int>(blockIdx.x) * kTile;
  const int a_row = t / 4, a_column = t % 4 * 4, b_row = t / 16, b_column = t % 16 * 4;

  const auto fetch = [&](int step) {
    Tiles& to = tiles[step % 2];
    const float* from_a = a + (m0 + a_row) * k + step * kDepth + a_column;
    const float* from_b = b + (step * kDepth + b_row) * n + n0 + b_column;
    float* to_a = to.a + a_row * kDepth + a_column;
    float* to_b = to.b + b_row * kTile + b_column;
    if constexpr (kAsync) {
      copy_async<4>(to_a, from_a);
      copy_async<4>(to_b, from_b);
      commit_copies();
    } else {
      store(to_a, load<4>(from_a));
      store(to_b, load<4>(from_b));
    }
  };

  float sums[kEach][kEach] = {};
  const int row = t / 16 * kEach, column = t % 16 * kEach, steps = k / kDepth;
  fetch(0);
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      fetch(step + 1);
      if (kAsync) wait_copies<1>();
    } else {
      if (kAsync) wait_copies<0>();
    }
    __syncthreads();
    const Tiles& now = tiles[step % 2];
    for (int i = 0; i < kDepth; ++i) {
      const Vec<float, kEach> right = load<kEach>(now.b + i * kTile + column);
      for (int y = 0; y < kEach; ++y) {
        const float left = now.a[(row + y) * kDepth + i];
        for (int x = 0; x < kEach; ++x) sums[y][x] += left * right[x];
      }
    }
    // the next step but one writes where this one read
    __syncthreads();
  }
  for (int y = 0; y < kEach; ++y) {
    Vec<float, kEach> out;
    for (int x = 0; x < kEach; ++x) out[x] = sums[y][x];
    store(c + (m0 + row + y) * n + n0 + column, out);
  }
}

template <bool kAsync>
void launch_gemm(const Arguments& a) {
  const int m = a.number(0), n = a.number(1), k = a.number(2);
  launch(gemm<kAsync>, dim3(n / kTile, m / kTile), kThreads, 2 * sizeof(Tiles), nullptr,
         a.array<float>(0), a.array<float>(1), a.array<float>(2), n, k);
}
const Register plain("gemm", launch_gemm<false>);
const Register async("gemm_async", launch_gemm<true>);

__global__ void twice(const float* x, float* y, int size) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < size) y[i] = 2 * x[i];
}
// numbers: size, launches
const Register small("twice", [](const Arguments& a) {
  for (int i = 0; i < a.number(1); ++i) {
    launch(twice, blocks_for(a.number(0)), kBlock, 0, nullptr, a.array<float>(0), a.array<float>(1),
           a.number(0));
  }
});

}  // namespace
}  // namespace fc::selftest
