// Dropout: y[i] = word >= threshold ? x[i] / keep : 0, where word is the upper 24 bits of element
// i / group of the Philox4x32-10 stream (seed, offset): fastconv/backend/philox.py is the
// definition.
//
// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
#include "cpu/elementwise.h"
#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr uint32_t kM0 = 0xD2511F53u, kM1 = 0xCD9E8D57u;  // multipliers, table 2 of the paper
constexpr uint32_t kW0 = 0x9E3779B9u, kW1 = 0xBB67AE85u;  // key increments
constexpr int64_t kBlocks = 64;                           // counters computed side by side
constexpr int64_t kWords = 4 * kBlocks;

inline uint32_t low(uint64_t v) { return static_cast<uint32_t>(v); }
inline uint32_t high(uint64_t v) { return static_cast<uint32_t>(v >> 32); }

// words (kBlocks, 4) of the counters block .. block + kBlocks - 1
inline void philox(uint64_t block, const PhiloxStream& stream, uint32_t* words) {
  uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  for (int64_t l = 0; l < kBlocks; ++l) {
    c0[l] = low(block + l);
    c1[l] = high(block + l);
    c2[l] = low(stream.offset);
    c3[l] = high(stream.offset);
  }
  uint32_t k0 = low(stream.seed), k1 = high(stream.seed);
  for (int round = 0; round < 10; ++round) {
    for (int64_t l = 0; l < kBlocks; ++l) {
      const uint64_t p0 = static_cast<uint64_t>(kM0) * c0[l];
      const uint64_t p1 = static_cast<uint64_t>(kM1) * c2[l];
      c0[l] = high(p1) ^ c1[l] ^ k0;
      c2[l] = high(p0) ^ c3[l] ^ k1;
      c1[l] = low(p1);
      c3[l] = low(p0);
    }
    k0 += kW0;
    k1 += kW1;
  }
  for (int64_t l = 0; l < kBlocks; ++l) {
    words[4 * l] = c0[l];
    words[4 * l + 1] = c1[l];
    words[4 * l + 2] = c2[l];
    words[4 * l + 3] = c3[l];
  }
}

// one word per element
template <class T>
void drop_elements(const T* x, T* y, int64_t n, const PhiloxStream& stream) {
  const T keep = static_cast<T>(stream.keep);
  parallel(ceil_div(n, kWords), grain_for(16 * kWords), [&](int64_t begin, int64_t end, int) {
    uint32_t words[kWords];
    for (int64_t unit = begin; unit < end; ++unit) {
      philox(unit * kBlocks, stream, words);
      const int64_t at = unit * kWords, size = min_of(kWords, n - at);
      FC_INDEPENDENT
      for (int64_t i = 0; i < size; ++i) {
        const T scaled = x[at + i] / keep;
        y[at + i] = (words[i] >> 8) >= stream.threshold ? scaled : T(0);
      }
    }
  });
}

// one word per `group` elements
template <class T>
void drop_groups(const T* x, T* y, int64_t n, int64_t group, const PhiloxStream& stream) {
  const T keep = static_cast<T>(stream.keep);
  parallel(n, grain_for(2), [&](int64_t begin, int64_t end, int) {
    uint32_t words[kWords];
    int64_t known = -1;  // the unit of kWords groups that words holds
    for (int64_t at = begin; at < end;) {
      const int64_t index = at / group, next = min_of(end, (index + 1) * group);
      if (index / kWords != known) {
        known = index / kWords;
        philox(known * kBlocks, stream, words);
      }
      if ((words[index % kWords] >> 8) >= stream.threshold) {
        FC_INDEPENDENT
        for (int64_t i = at; i < next; ++i) y[i] = x[i] / keep;
      } else {
        fill(y + at, next - at, T(0));
      }
      at = next;
    }
  });
}

template <class T>
void dropout(const T* x, T* y, int64_t n, int64_t group, const PhiloxStream& stream) {
  if (group == 1) {
    drop_elements(x, y, n, stream);
  } else {
    drop_groups(x, y, n, group, stream);
  }
}

}  // namespace

DropoutKernels dropout_kernels() { return {{dropout<float>}, {dropout<double>}}; }

}  // namespace fc::FC_ISA
