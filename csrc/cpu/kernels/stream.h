// Outputs written block by block, past the caches where they are too large to be found there.
//
// A plain store reads the line that it overwrites first; a streaming one does not. The values are
// the same.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/cache.h"
#include "cpu/kernels/simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fc::FC_ISA {
namespace {

#if defined(__x86_64__)
constexpr bool kCanStream = true;
#if defined(__AVX512F__)
constexpr int64_t kStreamBytes = 64;
inline void stream_one(void* to, const void* from) {
  _mm512_stream_si512(static_cast<__m512i*>(to), _mm512_loadu_si512(from));
}
#elif defined(__AVX2__)
constexpr int64_t kStreamBytes = 32;
inline void stream_one(void* to, const void* from) {
  _mm256_stream_si256(static_cast<__m256i*>(to),
                      _mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
#else
constexpr int64_t kStreamBytes = 16;
inline void stream_one(void* to, const void* from) {
  _mm_stream_si128(static_cast<__m128i*>(to), _mm_loadu_si128(static_cast<const __m128i*>(from)));
}
#endif
inline void stream_fence() { _mm_sfence(); }
#else
constexpr bool kCanStream = false;
constexpr int64_t kStreamBytes = kVectorBytes;
inline void stream_one(void* to, const void* from) { memcpy(to, from, kStreamBytes); }
inline void stream_fence() {}
#endif

// to = from, n bytes, with streaming stores from the first line of `to` to its last
inline void stream_bytes(char* to, const char* from, int64_t n) {
  int64_t at = -reinterpret_cast<intptr_t>(to) & 63;
  at = at < n ? at : n;
  if (at != 0) memcpy(to, from, at);
  for (; at + 64 <= n; at += 64) {
    for (int64_t i = 0; i < 64; i += kStreamBytes) stream_one(to + at + i, from + at + i);
  }
  if (at != n) memcpy(to + at, from + at, n - at);
}

// Where a kernel computes a block of its output: the output itself, or a buffer in the L1 cache
// that is streamed out. Every thread has one, on its stack.
//
//   Blocks<T, kBlock> out(streams<T>(n));  n values in all
//   T* block = out.begin(y + at);          up to kBlock values
//   ... write block ...
//   out.end(y + at, size);
//   out.finish();                          waits for the stores
template <class T, int64_t kSize>
class Blocks {
 public:
  explicit Blocks(bool streams) : streams_(streams) {}
  T* begin(T* y) { return streams_ ? buffer_ : y; }
  void end(T* y, int64_t size) {
    if (streams_) {
      stream_bytes(reinterpret_cast<char*>(y), reinterpret_cast<const char*>(buffer_),
                   size * static_cast<int64_t>(sizeof(T)));
    }
  }
  // after the last block of a thread (a destructor would drag in exception tables)
  void finish() {
    if (streams_) stream_fence();
  }

 private:
  const bool streams_;
  alignas(64) T buffer_[kSize];
};

// Whether an output of n values should be streamed. One that overwrites an input should not: its
// lines are in the cache already.
template <class T>
inline bool streams(int64_t n) {
  return kCanStream && outgrows_cache(n * static_cast<int64_t>(sizeof(T)));
}

// Whether a register tile may stream `vectors` vectors of each row it writes: the result is large,
// and what is written of a row at once is whole cache lines, which begin where `strides` say.
template <class T, class... Strides>
inline bool streams_rows(int64_t n, int vectors, const T* first, Strides... strides) {
  const auto whole = [](int64_t bytes) { return bytes % 64 == 0; };
  return streams<T>(n) && whole(vectors * kVectorBytes) &&
         whole(reinterpret_cast<intptr_t>(first)) &&
         (whole(strides * static_cast<int64_t>(sizeof(T))) && ...);
}

static_assert(kStreamBytes == kVectorBytes, "a vector is one streaming store");
template <class T>
inline void stream_vector(T* to, Vec<T> v) {
  alignas(64) T from[kVw<T>];
  store(from, v);
  stream_one(to, from);
}

}  // namespace
}  // namespace fc::FC_ISA
