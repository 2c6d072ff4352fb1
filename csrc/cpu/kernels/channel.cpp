// sums[0,c] = sum_i x[i,c]   sums[1,c] = sum_i x[i,c]^2
//
// Each chunk of rows has its own float64 accumulators; they are combined in order.
#include "cpu/channel.h"

#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// kRows rows of `count` values, `width` apart, into the accumulators: loaded and stored once for
// all
template <class T, bool kSquares, int kRows>
inline void add_rows(const T* x, int64_t count, int64_t width, double* acc) {
  double* squares = acc + width;
  FC_INDEPENDENT
  for (int64_t j = 0; j < count; ++j) {
    double sum = acc[j], square = kSquares ? squares[j] : 0;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const double v = x[r * width + j];
      sum += v;
      square += v * v;
    }
    acc[j] = sum;
    if constexpr (kSquares) squares[j] = square;
  }
}

// One chunk: element e of the flat (rows, channels) block goes to accumulator e mod width.
template <class T, bool kSquares>
void accumulate(const T* x, int64_t elements, int64_t width, double* acc) {
  constexpr int kRows = 4;
  for (int64_t j = 0; j < 2 * width; ++j) acc[j] = 0;
  int64_t base = 0;
  for (; base + kRows * width <= elements; base += kRows * width) {
    add_rows<T, kSquares, kRows>(x + base, width, width, acc);
  }
  for (; base < elements; base += width) {
    add_rows<T, kSquares, 1>(x + base, min_of(width, elements - base), width, acc);
  }
}

template <class T, bool kSquares>
void reduce(const T* x, int64_t rows, int64_t channels, double* scratch) {
  const ChannelChunks chunks(rows, channels);
  parallel(chunks.count, grain_for(chunks.rows * channels), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * chunks.rows;
      const int64_t count = rows - first < chunks.rows ? rows - first : chunks.rows;
      accumulate<T, kSquares>(x + first * channels, count * channels, chunks.width,
                              scratch + i * 2 * chunks.width);
    }
  });
}

// Sum of one statistic of one channel over chunks and unrolled rows, in order.
double combine(const double* scratch, const ChannelChunks& chunks, int64_t channels, int64_t c,
               int statistic) {
  double total = 0;
  for (int64_t i = 0; i < chunks.count; ++i) {
    const double* acc = scratch + (2 * i + statistic) * chunks.width;
    for (int64_t j = c; j < chunks.width; j += channels) total += acc[j];
  }
  return total;
}

template <class T>
void stats(const T* x, int64_t rows, int64_t channels, double* sums, double* scratch) {
  reduce<T, true>(x, rows, channels, scratch);
  const ChannelChunks chunks(rows, channels);
  for (int64_t c = 0; c < channels; ++c) {
    sums[c] = combine(scratch, chunks, channels, c, 0);
    sums[channels + c] = combine(scratch, chunks, channels, c, 1);
  }
}

template <class T>
void sum(const T* x, int64_t rows, int64_t channels, T* y, double* scratch) {
  reduce<T, false>(x, rows, channels, scratch);
  const ChannelChunks chunks(rows, channels);
  for (int64_t c = 0; c < channels; ++c) {
    y[c] = static_cast<T>(combine(scratch, chunks, channels, c, 0));
  }
}

}  // namespace

ChannelKernels channel_kernels() {
  return {{stats<float>, sum<float>}, {stats<double>, sum<double>}};
}

}  // namespace fc::FC_ISA
