// Per-channel sums over every axis but the last.
#pragma once

#include <cstdint>

namespace fc {

template <class T>
struct ChannelFunctions {
  // sums[0,c] = sum_i x[i,c], sums[1,c] = sum_i x[i,c]^2; x (rows, channels), sums (2, channels).
  // scratch: channel_scratch(rows, channels) doubles.
  void (*stats)(const T* x, int64_t rows, int64_t channels, double* sums, double* scratch);
  // y[c] = sum_i x[i,c], summed in float64
  void (*sum)(const T* x, int64_t rows, int64_t channels, T* y, double* scratch);
};
struct ChannelKernels {
  ChannelFunctions<float> f32;
  ChannelFunctions<double> f64;
};
namespace baseline {
ChannelKernels channel_kernels();
}
namespace avx2 {
ChannelKernels channel_kernels();
}
namespace avx512 {
ChannelKernels channel_kernels();
}

// How rows are cut into chunks: by the shape alone, so that the sums are the same for any number of
// threads.
struct ChannelChunks {
  int64_t rows, count;  // rows per chunk
  int64_t width;        // accumulators per chunk: few channels are unrolled over several rows

  ChannelChunks(int64_t total, int64_t channels) {
    constexpr int64_t kMostChunks = 64, kFewestRows = 256, kUnroll = 32;
    rows = (total + kMostChunks - 1) / kMostChunks;
    if (rows < kFewestRows) rows = kFewestRows;
    count = (total + rows - 1) / rows;
    width = channels >= kUnroll ? channels : kUnroll / (channels > 0 ? channels : 1) * channels;
  }
};

static inline int64_t channel_scratch(int64_t rows, int64_t channels) {
  const ChannelChunks chunks(rows, channels);
  return chunks.count * 2 * chunks.width;
}

}  // namespace fc
