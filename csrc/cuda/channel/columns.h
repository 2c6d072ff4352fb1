// How blocks walk an array (rows, C) by columns: what a thread knows of its channels stays in
// registers, and 16 bytes move at once for every C.
//
//   stripe   the fewest whole rows that are whole vectors: a vector's channels are the same in
//            every stripe                                        (period vectors)
//   tile     neighbouring vectors of a stripe, 64 at most        (columns)
//   band     neighbouring stripes, one per group of a block's threads; with a single tile a band is
//            contiguous and neighbouring threads have neighbouring vectors
//   chunk    every chunks-th band: what one block walks, tile by tile
//   segment  an array of its own (an image), walked by its own blocks
//
// The plan depends on the shape alone, so sums over it have one order.
#pragma once

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"

namespace fc::cuda {

struct ColumnPlan {
  int64_t segments, size;  // size: elements of a segment
  int channels, rows;      // rows of a stripe
  int period, columns, tiles, groups, chunks;

  dim3 grid() const { return dim3(static_cast<unsigned>(segments * tiles * chunks)); }
};

constexpr int kMostColumns = 64;  // 1 KB side by side

// chunks: at least `steps` vectors per thread, at most `blocks` blocks
template <class T>
ColumnPlan plan_columns(int64_t segments, int64_t size, int64_t channels, int64_t steps,
                        int64_t blocks) {
  constexpr int kN = kVector<T>;
  ColumnPlan p;
  p.segments = segments, p.size = size, p.channels = static_cast<int>(channels);
  p.rows = kN / std::gcd(kN, p.channels);
  p.period = static_cast<int>(channels * p.rows / kN);
  p.columns = p.period;
  if (p.period > kMostColumns) {  // tiles of equal size, and whole lines of 128 bytes
    const int tiles = ceil_div(p.period, kMostColumns);
    p.columns = ceil_div(ceil_div(p.period, tiles), 8) * 8;
  }
  p.tiles = ceil_div(p.period, p.columns);
  p.groups = kBlock / p.columns;
  const int64_t bands = ceil_div(ceil_div(ceil_div(size, kN), p.period), p.groups);
  const int64_t most = std::max<int64_t>(1, blocks / (p.tiles * segments));
  p.chunks = static_cast<int>(std::min(ceil_div(bands, steps), most));
  return p;
}

// ---- a vector, or what there is of it

template <int kN, bool kAligned>
struct WholeVector {
  FC_DEVICE static constexpr int count() { return kN; }

  template <class T>
  FC_DEVICE Vec<float, kN> load(const T* p) const {
    if constexpr (kAligned) {
      return widen(cuda::load<kN>(p));
    } else {
      Vec<float, kN> v;
#pragma unroll
      for (int j = 0; j < kN; ++j) v[j] = widen(p[j]);
      return v;
    }
  }
  template <class T>
  FC_DEVICE void store(T* p, const Vec<float, kN>& v) const {
    if constexpr (kAligned) {
      cuda::store(p, narrow<T>(v));
    } else {
#pragma unroll
      for (int j = 0; j < kN; ++j) p[j] = narrow<T>(v[j]);
    }
  }
};

// The last elements of an array, fewer than kN; zeros follow them.
template <int kN>
struct LastVector {
  int elements;

  FC_DEVICE int count() const { return elements; }

  template <class T>
  FC_DEVICE Vec<float, kN> load(const T* p) const {
    Vec<float, kN> v;
#pragma unroll
    for (int j = 0; j < kN; ++j) v[j] = j < elements ? widen(p[j]) : 0.f;
    return v;
  }
  template <class T>
  FC_DEVICE void store(T* p, const Vec<float, kN>& v) const {
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      if (j < elements) p[j] = narrow<T>(v[j]);
    }
  }
};

// Calls f with whether all pointers may be read by vectors, as a constant. Null ones may.
template <class F, class... T>
void with_alignment(int64_t pitch, F f, const T*... p) {
  if ((vectors_fit<kVector<T>>(p, pitch) && ...)) {
    f(std::true_type());
  } else {
    f(std::false_type());
  }
}

// ---- what one thread walks

template <int kN, bool kAligned>
class ColumnWalk {
 public:
  using Whole = WholeVector<kN, kAligned>;
  using Last = LastVector<kN>;

  FC_DEVICE explicit ColumnWalk(const ColumnPlan& plan) {
    const int block = static_cast<int>(blockIdx.x), unit = block / plan.chunks;
    chunk_ = block % plan.chunks;
    segment_ = unit / plan.tiles;
    tile_ = unit % plan.tiles;
    group_ = static_cast<int>(threadIdx.x) / plan.columns;
    column_ = tile_ * plan.columns + static_cast<int>(threadIdx.x) % plan.columns;
    channels_ = plan.channels;
    there_ = group_ < plan.groups && column_ < plan.period;
    if (!there_) return;
    const int64_t stripe = int64_t{chunk_} * plan.groups + group_;
    const int64_t stripes = int64_t{plan.chunks} * plan.groups;  // from one vector to the next
    row_ = stripe * plan.rows, row_step_ = stripes * plan.rows;
    const int64_t whole = plan.size / kN, first = stripe * plan.period + column_;
    const int64_t step = stripes * plan.period;
    begin_ = segment_ * plan.size + first * kN, step_ = step * kN;
    if (first < whole) count_ = static_cast<int>((whole - 1 - first) / step + 1);
    if (first + count_ * step == whole) last_ = static_cast<int>(plan.size % kN);
  }

  FC_DEVICE bool there() const { return there_; }
  FC_DEVICE int segment() const { return segment_; }
  FC_DEVICE int chunk() const { return chunk_; }
  FC_DEVICE int tile() const { return tile_; }
  FC_DEVICE int group() const { return group_; }
  FC_DEVICE int count() const { return count_; }   // whole vectors
  FC_DEVICE Last last() const { return {last_}; }  // and one that is not, if it has elements
  FC_DEVICE int channel(int j) const { return (column_ * kN + j) % channels_; }
  FC_DEVICE int row_in_stripe(int j) const { return (column_ * kN + j) / channels_; }

  // Values of the channels, one per element of a vector; null gives `otherwise`.
  FC_DEVICE Vec<float, kN> of_channels(const float* p, float otherwise) const {
    constexpr int kPart = kVector<float>;
    Vec<float, kN> v = Vec<float, kN>::all(otherwise);
    if (p && channels_ % kN == 0 && reinterpret_cast<uintptr_t>(p) % 16 == 0) {
#pragma unroll
      for (int j = 0; j < kN; j += kPart) {
        const Vec<float, kPart> part = load<kPart>(p + channel(0) + j);
#pragma unroll
        for (int k = 0; k < kPart; ++k) v[j + k] = part[k];
      }
    } else if (p) {
#pragma unroll
      for (int j = 0; j < kN; ++j) v[j] = p[channel(j)];
    }
    return v;
  }

  // The i-th vector's first element in the whole array, and its stripe's first row in the segment.
  FC_DEVICE int64_t at(int i) const { return begin_ + i * step_; }
  FC_DEVICE int64_t row(int i) const { return row_ + i * row_step_; }

  // use(i, read(i)) for begin <= i < end; kBatch vectors are on the way at once.
  template <int kBatch, class Read, class Use>
  FC_DEVICE void forwards(int begin, int end, Read read, Use use) const {
    int i = begin;
    for (; i + kBatch <= end; i += kBatch) {
      decltype(read(0)) loaded[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) loaded[b] = read(i + b);
#pragma unroll
      for (int b = 0; b < kBatch; ++b) use(i + b, loaded[b]);
    }
    for (; i < end; ++i) use(i, read(i));
  }
  // From the end: what a pass before this one read last is still in the cache.
  template <int kBatch, class Read, class Use>
  FC_DEVICE void backwards(Read read, Use use) const {
    const int top = count_ - 1;
    forwards<kBatch>(
        0, count_, [&](int i) { return read(top - i); },
        [&](int i, const auto& loaded) { use(top - i, loaded); });
  }

 private:
  bool there_;
  int segment_, chunk_, tile_, group_, column_, channels_, count_ = 0, last_ = 0;
  int64_t begin_ = 0, step_ = 0, row_ = 0, row_step_ = 0;
};

// ---- element by element, with values per channel
//
// F: kN, kAligned, kBatch; channels(walk) loads what belongs to the thread's channels;
// read(part, at) loads, use(part, at, loaded, channels) computes and stores.

constexpr int64_t kMapSteps = 4, kMapBlocks = 2048;

template <class F>
__global__ void __launch_bounds__(kBlock) map_columns_kernel(ColumnPlan plan, F f) {
  using Walk = ColumnWalk<F::kN, F::kAligned>;
  const Walk walk(plan);
  if (!walk.there()) return;
  const auto channels = f.channels(walk);
  const auto visit = [&](auto part, int i) {
    const int64_t at = walk.at(i);
    f.use(part, at, f.read(part, at), channels);
  };
  if (walk.last().count()) visit(walk.last(), walk.count());
  const typename Walk::Whole whole;
  walk.template backwards<F::kBatch>(
      [&](int i) { return f.read(whole, walk.at(i)); },
      [&](int i, const auto& loaded) { f.use(whole, walk.at(i), loaded, channels); });
}

// T: what is stored
template <class T, class F>
void map_columns(const F& f, int64_t segments, int64_t size, int64_t channels, Stream stream) {
  const ColumnPlan plan = plan_columns<T>(segments, size, channels, kMapSteps, kMapBlocks);
  launch(map_columns_kernel<F>, plan.grid(), kBlock, 0, stream, plan, f);
}

}  // namespace fc::cuda
