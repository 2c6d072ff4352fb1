// y[i] = (word >> 8) >= threshold ? x[i] / keep : 0, word: element i / group of the Philox stream.
#include <algorithm>

#include "cuda/device/divide.h"
#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/device/philox.h"
#include "cuda/elementwise/dropout.h"

namespace fc::cuda {
namespace {

constexpr int kWords = 4;  // of a Philox block; a thread uses them for as many elements
constexpr int64_t kShort = INT32_MAX;

// index / group, which for a short index costs a multiplication.
struct GroupOf {
  int64_t group;
  Divider divider;

  explicit GroupOf(int64_t group_) : group(group_), divider(std::min(group_, kShort)) {}
  FC_DEVICE int64_t operator()(int64_t index) const {
    return index < kShort ? divider.divide(static_cast<int>(index)) : index / group;
  }
};

// The words of kWords neighbours whose first is element `at`, a multiple of kWords. They are of one
// Philox block: the next one begins at a multiple of kWords * group.
template <bool kGrouped>
FC_DEVICE Vec<uint32_t, kWords> words_of(int64_t at, const DropoutRule& rule,
                                         const GroupOf& group_of) {
  const int64_t counter = (kGrouped ? group_of(at) : at) / kWords;
  const Vec<uint32_t, kWords> block = philox(counter, rule.seed, rule.offset);
  if constexpr (kGrouped) {
    Vec<uint32_t, kWords> words;
#pragma unroll
    for (int j = 0; j < kWords; ++j) {
      words[j] = pick(block, static_cast<int>(group_of(at + j) % kWords));
    }
    return words;
  } else {
    return block;
  }
}

template <bool kGrouped, class T>
__global__ void __launch_bounds__(kBlock)
    dropout_kernel(const T* x, T* y, int64_t size, DropoutRule rule, GroupOf group_of,
                   bool aligned) {
  const int64_t at = (int64_t{blockIdx.x} * kBlock + threadIdx.x) * kWords;
  if (at >= size) return;
  const Vec<uint32_t, kWords> words = words_of<kGrouped>(at, rule, group_of);
  const auto dropped = [&](T value, uint32_t word) {
    const float scaled = widen(value) / rule.keep;
    return narrow<T>((word >> 8) >= rule.threshold ? scaled : 0.f);
  };
  if (aligned && at + kWords <= size) {
    Vec<T, kWords> v = load<kWords>(x + at);
#pragma unroll
    for (int j = 0; j < kWords; ++j) v[j] = dropped(v[j], words[j]);
    store(y + at, v);
  } else {
#pragma unroll
    for (int j = 0; j < kWords; ++j) {
      if (at + j < size) y[at + j] = dropped(x[at + j], words[j]);
    }
  }
}

}  // namespace

template <class T>
void dropout(const T* x, T* y, int64_t size, const DropoutRule& rule, Stream stream) {
  if (size == 0) return;
  const bool aligned = vectors_fit<kWords>(x, 0) && vectors_fit<kWords>(y, 0);
  const auto kernel = rule.group == 1 ? dropout_kernel<false, T> : dropout_kernel<true, T>;
  launch(kernel, blocks_for(ceil_div(size, kWords)), kBlock, 0, stream, x, y, size, rule,
         GroupOf(rule.group), aligned);
}

template void dropout(const float*, float*, int64_t, const DropoutRule&, Stream);

}  // namespace fc::cuda
