// cp.async: global to shared memory past the registers, sm_80 and later; before, a load and a
// store.
//
// copy_async issues, commit_copies closes a group, wait_copies<n> waits until at most n groups of
// this thread are on the way. The other threads see the bytes after the next __syncthreads.
// PTX ISA 9.7.9.25.3, "Non-bulk copy".
#pragma once

#include "cuda/device/vector.h"
#ifndef __CUDACC__
#include "emulator/machine.h"
#endif

namespace fc::cuda {

#ifdef __CUDACC__

FC_DEVICE unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// N elements; zeros where !valid, and then `from` is not read.
template <int N, class T>
FC_DEVICE void copy_async(T* to, const T* from, bool valid = true) {
  constexpr int kBytes = N * sizeof(T);
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "the sizes of cp.async");
#if __CUDA_ARCH__ >= 800
  const int bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;\n" ::"r"(shared_address(to)),
                 "l"(from), "n"(kBytes), "r"(bytes)
                 : "memory");
  }
#else
  store<N>(to, valid ? load<N>(from) : Vec<T, N>::all(T(0)));
#endif
}

FC_DEVICE void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

template <int kGroupsLeft>
FC_DEVICE void wait_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kGroupsLeft) : "memory");
#endif
}

#else

template <int N, class T>
__attribute__((noinline, no_sanitize("thread"))) void copy_async(T* to, const T* from,
                                                                 bool valid = true) {
  constexpr int kBytes = N * sizeof(T);
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "the sizes of cp.async");
  emulator::issue_copy(to, from, kBytes, valid ? kBytes : 0, __builtin_return_address(0));
}

inline void commit_copies() { emulator::commit_copies(); }

template <int kGroupsLeft>
inline void wait_copies() {
  emulator::wait_copies(kGroupsLeft);
}

#endif

}  // namespace fc::cuda
