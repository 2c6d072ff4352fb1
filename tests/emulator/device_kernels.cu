// Every function of csrc/cuda/device, in kernels as thin as can be: test_device_headers.py compares
// with NumPy.
#include "cuda/device/async_copy.h"
#include "cuda/device/divide.h"
#include "cuda/device/dtype.h"
#include "cuda/device/warp.h"
#include "harness.h"

namespace fc::selftest {
namespace {

using namespace fc::cuda;

FC_DEVICE int global_index() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

// ---- divide.h

__global__ void divide(Divider by, int size, const int* a, int* quotient, int* remainder) {
  const int i = global_index();
  if (i >= size) return;
  int q, r;
  by.split(a[i], q, r);
  quotient[i] = q == by.divide(a[i]) ? q : -1;
  remainder[i] = r;
}
// numbers: size, divisors; divisors (divisors), a, quotient, remainder (divisors, size)
void divide_all(const Arguments& a) {
  const int size = a.number(0);
  for (int d = 0; d < a.number(1); ++d) {
    const int64_t at = int64_t{d} * size;
    launch(divide, blocks_for(size), kBlock, 0, nullptr, Divider(a.array<int64_t>(0)[d]), size,
           a.array<int>(1) + at, a.array<int>(2) + at, a.array<int>(3) + at);
  }
}

// ---- dtype.h, vector.h

// y = f(x), kN at once
template <int kN, class F, class T, class U>
__global__ void convert(F f, int size, const T* x, U* y) {
  const int i = global_index() * kN;
  if (i < size) store(y + i, f(load<kN>(x + i)));
}
struct Widen {
  template <class T, int N>
  FC_DEVICE Vec<float, N> operator()(const Vec<T, N>& a) const {
    return widen(a);
  }
};
template <class T>
struct Narrow {
  template <int N>
  FC_DEVICE Vec<T, N> operator()(const Vec<float, N>& a) const {
    return narrow<T>(a);
  }
};
struct Same {
  template <class V>
  FC_DEVICE V operator()(const V& a) const {
    return a;
  }
};
// number 0: size, a multiple of kN
template <int kN, class F, class T, class U>
void convert_all(const Arguments& a) {
  const int size = a.number(0);
  launch(convert<kN, F, T, U>, blocks_for(size / kN), kBlock, 0, nullptr, F(), size,
         static_cast<const T*>(a.array<T>(0)), a.array<U>(1));
}

// ---- warp.h; x, y (blocks, threads)

template <class T, class F>
__global__ void reduce_warps(F f, const T* x, T* y) {
  const int i = global_index();
  y[i] = warp_reduce(x[i], f);
}
// y (blocks, threads, 2): the scratch is free again after each call
template <class T, class F>
__global__ void reduce_blocks(F f, const T* x, T* y) {
  T* scratch = shared_memory<T>();  // (blockDim.x / kWarp)
  const int i = global_index();
  y[2 * i] = block_reduce(x[i], scratch, f);
  y[2 * i + 1] = block_reduce(x[i] + x[i], scratch, f);
}
// numbers: blocks, threads
template <class T, class F>
void reduce_all(const Arguments& a) {
  const size_t scratch = a.number(1) / kWarp * sizeof(T);
  const auto* x = static_cast<const T*>(a.array<T>(0));
  launch(reduce_warps<T, F>, a.number(0), a.number(1), 0, nullptr, F(), x, a.array<T>(1));
  launch(reduce_blocks<T, F>, a.number(0), a.number(1), scratch, nullptr, F(), x, a.array<T>(2));
}

// x (kWarp), y (3, kWarp)
template <class T>
__global__ void shuffle_three_ways(const T* x, T* y, int argument) {
  const int lane = lane_of_thread();
  y[lane] = shuffle_xor(x[lane], argument);
  y[kWarp + lane] = shuffle_down(x[lane], argument);
  y[2 * kWarp + lane] = shuffle(x[lane], argument);
}
template <class T>
void shuffle_all(const Arguments& a) {
  launch(shuffle_three_ways<T>, 1, kWarp, 0, nullptr, static_cast<const T*>(a.array<T>(0)),
         a.array<T>(1), a.number(0));
}

// y (2): ballots of all lanes and of the first half
__global__ void vote(const float* x, unsigned* y) {
  const int lane = lane_of_thread();
  const unsigned all = ballot(x[lane] > 0);
  unsigned half = 0;
  if (lane < 16) half = ballot(x[lane] > 0, 0xffffu);
  if (lane == 0) y[0] = all;
  if (lane == 0) y[1] = half;
}

// ---- async_copy.h

// x, y (size); the last thread's elements are not valid, and not there in x
template <int kN>
__global__ void copy_through_shared(const float* x, float* y) {
  float* s = shared_memory<float>();  // (blockDim.x, kN)
  const int i = static_cast<int>(threadIdx.x) * kN;
  copy_async<kN>(s + i, x + i, threadIdx.x + 1 < blockDim.x);
  commit_copies();
  wait_copies<0>();
  store(y + i, load<kN>(s + i));
}
// number 0: threads
template <int kN>
void copy_all(const Arguments& a) {
  const size_t bytes = a.number(0) * kN * sizeof(float);
  launch(copy_through_shared<kN>, 1, a.number(0), bytes, nullptr, a.array<float>(0),
         a.array<float>(1));
}

const Register all[] = {
    {"divide", divide_all},
    {"widen_half", convert_all<1, Widen, Half, float>},
    {"widen_half4", convert_all<4, Widen, Half, float>},
    {"widen_bfloat16", convert_all<1, Widen, Bfloat16, float>},
    {"widen_bfloat164", convert_all<4, Widen, Bfloat16, float>},
    {"narrow_half", convert_all<1, Narrow<Half>, float, Half>},
    {"narrow_half4", convert_all<4, Narrow<Half>, float, Half>},
    {"narrow_bfloat16", convert_all<1, Narrow<Bfloat16>, float, Bfloat16>},
    {"narrow_bfloat164", convert_all<4, Narrow<Bfloat16>, float, Bfloat16>},
    {"narrow_float", convert_all<4, Narrow<float>, float, float>},
    {"copy_uint8_16", convert_all<16, Same, uint8_t, uint8_t>},
    {"copy_uint8_2", convert_all<2, Same, uint8_t, uint8_t>},
    {"copy_uint16_8", convert_all<8, Same, uint16_t, uint16_t>},
    {"copy_uint16_2", convert_all<2, Same, uint16_t, uint16_t>},
    {"copy_float_4", convert_all<4, Same, float, float>},
    {"copy_float_2", convert_all<2, Same, float, float>},
    {"copy_float_1", convert_all<1, Same, float, float>},
    {"copy_double_2", convert_all<2, Same, double, double>},
    {"sum_float", reduce_all<float, Plus>},
    {"sum_double", reduce_all<double, Plus>},
    {"sum_int", reduce_all<int, Plus>},
    {"max_float", reduce_all<float, Larger>},
    {"max_int", reduce_all<int, Larger>},
    {"shuffle_float", shuffle_all<float>},
    {"shuffle_int", shuffle_all<int>},
    {"shuffle_double", shuffle_all<double>},
    {"vote",
     [](const Arguments& a) {
       launch(vote, 1, kWarp, 0, nullptr, a.array<float>(0), a.array<unsigned>(1));
     }},
    {"copy_async_1", copy_all<1>},
    {"copy_async_2", copy_all<2>},
    {"copy_async_4", copy_all<4>},
    // number 0: offset in elements, number 1: pitch; y (3): kN = 4, 2, 1
    {"vectors_fit",
     [](const Arguments& a) {
       const float* x = a.array<float>(0) + a.number(0);
       const int64_t pitch = a.numbers[1];
       int* y = a.array<int>(1);
       y[0] = vectors_fit<4>(x, pitch);
       y[1] = vectors_fit<2>(x, pitch);
       y[2] = vectors_fit<1>(x, pitch);
     }},
    {"fill_zero", [](const Arguments& a) { fill_zero(a.array<char>(0), a.numbers[0], nullptr); }},
};

}  // namespace
}  // namespace fc::selftest
