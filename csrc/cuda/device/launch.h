// launch(kernel, grid, block, shared_bytes, stream, arguments...): as kernel<<<...>>>(...),
// checked.
#pragma once

#include <tuple>
#include <utility>

#include "cuda/device/check.h"
#include "cuda/device/platform.h"
#include "cuda/stream.h"
#ifndef __CUDACC__
#include "emulator/machine.h"
#include "emulator/memory.h"
#endif

namespace fc::cuda {

#ifdef __CUDACC__

// More than 48 KB of dynamic shared memory must be asked for, once per kernel and device.
constexpr size_t kSharedWithoutAsking = size_t{48} << 10;

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            A&&... arguments) {
  if (shared_bytes > kSharedWithoutAsking) {
    FC_CHECK(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes)));
  }
  std::tuple<P...> values(std::forward<A>(arguments)...);
  std::apply(
      [&](auto&... value) {
        void* pointers[] = {const_cast<void*>(static_cast<const void*>(&value))...};
        FC_CHECK(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers,
                                  shared_bytes, static_cast<cudaStream_t>(stream)));
      },
      values);
  FC_CHECK(cudaGetLastError());
}

// The block's dynamic shared memory; T as its first user sees it.
template <class T>
FC_DEVICE T* shared_memory() {
  extern __shared__ __align__(128) unsigned char fc_shared_memory[];
  return reinterpret_cast<T*>(fc_shared_memory);
}

inline void fill_zero(void* p, size_t bytes, Stream stream) {
  FC_CHECK(cudaMemsetAsync(p, 0, bytes, static_cast<cudaStream_t>(stream)));
}

#else

template <class... P>
struct EmulatedCall {
  void (*kernel)(P...);
  std::tuple<P...> arguments;

  template <size_t... I>
  void call(std::index_sequence<I...>) const {
    kernel(std::get<I>(arguments)...);
  }
};

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream,
            A&&... arguments) {
  using Call = EmulatedCall<P...>;
  const Call call{kernel, {std::forward<A>(arguments)...}};
  emulator::run({emulator::code_offset(reinterpret_cast<const void*>(kernel)), grid, block,
                 shared_bytes, &call, sizeof call},
                [](const void* data) {
                  static_cast<const Call*>(data)->call(std::index_sequence_for<P...>());
                });
}

template <class T>
inline T* shared_memory() {
  return reinterpret_cast<T*>(emulator::shared_memory());
}

inline void fill_zero(void* p, size_t bytes, Stream) { emulator::fill_zero(p, bytes); }

#endif

// One thread per item, in blocks of one dimension.
constexpr int kBlock = 256;

inline dim3 blocks_for(int64_t items, int per_block = kBlock) {
  return dim3(static_cast<unsigned>(ceil_div(items, per_block)));
}

}  // namespace fc::cuda
