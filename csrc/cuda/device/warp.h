// Exchange between the lanes of a warp, and sums over warps and blocks in a fixed order.
#pragma once

#include "cuda/device/platform.h"
#ifndef __CUDACC__
#include <cstring>

#include "emulator/machine.h"
#endif

namespace fc::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

FC_DEVICE int lane_of_thread() { return static_cast<int>(threadIdx.x) % kWarp; }
FC_DEVICE int warp_of_thread() { return static_cast<int>(threadIdx.x) / kWarp; }

#ifdef __CUDACC__

// The value of lane (lane ^ mask), of the lane `distance` further up, of one lane.
template <class T>
FC_DEVICE T shuffle_xor(T value, int mask, unsigned lanes = kAllLanes) {
  return __shfl_xor_sync(lanes, value, mask);
}
template <class T>
FC_DEVICE T shuffle_down(T value, int distance, unsigned lanes = kAllLanes) {
  return __shfl_down_sync(lanes, value, distance);
}
template <class T>
FC_DEVICE T shuffle(T value, int lane, unsigned lanes = kAllLanes) {
  return __shfl_sync(lanes, value, lane);
}
// A bit per lane: where the condition holds.
FC_DEVICE unsigned ballot(bool condition, unsigned lanes = kAllLanes) {
  return __ballot_sync(lanes, condition);
}

#else

template <class T>
inline __attribute__((always_inline)) T exchanged(emulator::Collective kind, T value, int argument,
                                                  unsigned lanes, const void* pc) {
  static_assert(sizeof(T) <= 8, "a shuffle moves 4 or 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = emulator::collective(kind, lanes, bits, argument, pc);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
__attribute__((noinline)) T shuffle_xor(T value, int mask, unsigned lanes = kAllLanes) {
  return exchanged(emulator::Collective::kShuffleXor, value, mask, lanes,
                   __builtin_return_address(0));
}
template <class T>
__attribute__((noinline)) T shuffle_down(T value, int distance, unsigned lanes = kAllLanes) {
  return exchanged(emulator::Collective::kShuffleDown, value, distance, lanes,
                   __builtin_return_address(0));
}
template <class T>
__attribute__((noinline)) T shuffle(T value, int lane, unsigned lanes = kAllLanes) {
  return exchanged(emulator::Collective::kShuffle, value, lane, lanes, __builtin_return_address(0));
}
inline __attribute__((noinline)) unsigned ballot(bool condition, unsigned lanes = kAllLanes) {
  return static_cast<unsigned>(emulator::collective(emulator::Collective::kBallot, lanes, condition,
                                                    0, __builtin_return_address(0)));
}

#endif

// Every lane gets the result; a tree, so the order does not depend on anything.
template <class T, class Combine>
FC_DEVICE T warp_reduce(T value, Combine combine) {
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value = combine(value, shuffle_xor(value, mask));
  return value;
}

struct Plus {
  template <class T>
  FC_DEVICE T operator()(const T& a, const T& b) const {
    return a + b;
  }
};
// NaN if one is, as NumPy: whatever the order, so that all lanes agree.
struct Larger {
  template <class T>
  FC_DEVICE T operator()(const T& a, const T& b) const {
    return a < b || b != b ? b : a;
  }
};

// Over all threads of a one-dimensional block of whole warps. scratch: shared memory of one T per
// warp, free for others after the call. Every thread gets the result.
template <class T, class Combine>
FC_DEVICE T block_reduce(T value, T* scratch, Combine combine) {
  value = warp_reduce(value, combine);
  if (lane_of_thread() == 0) scratch[warp_of_thread()] = value;
  __syncthreads();
  value = scratch[0];
  for (int w = 1; w < static_cast<int>(blockDim.x) / kWarp; ++w) value = combine(value, scratch[w]);
  __syncthreads();
  return value;
}

}  // namespace fc::cuda
