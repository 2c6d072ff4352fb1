// y[m, i*groups + g] = x[m, g*(C/groups) + i]: a transpose of each row's (groups, C/groups).
//
// Read and write cannot both run along neighbouring channels, so a block copies whole rows to
// shared memory and picks from there. Rows too long for that are picked from global memory.
#include <algorithm>

#include "cuda/device/divide.h"
#include "cuda/device/launch.h"
#include "cuda/device/vector.h"
#include "cuda/elementwise/elementwise.h"

namespace fc::cuda {
namespace {

constexpr int64_t kTileBytes = int64_t{8} << 10;       // wanted: eight blocks on a multiprocessor
constexpr int64_t kMostTileBytes = int64_t{48} << 10;  // possible

// Where element `at` of some rows comes from.
struct Shuffle {
  int c, size;  // size: C / groups
  Divider by_c, by_groups;

  FC_DEVICE int source(int at) const {
    int row, channel, i, g;
    by_c.split(at, row, channel);
    by_groups.split(channel, i, g);
    return row * c + g * size + i;
  }
};

// A block has `rows` rows, which begin at a multiple of kN elements.
template <bool kStaged, int kN, class T>
__global__ void __launch_bounds__(kBlock)
    channel_shuffle_kernel(const T* x, T* y, int64_t m, int rows, Shuffle shuffle) {
  const int64_t first = int64_t{blockIdx.x} * rows;
  const T* in = x + first * shuffle.c;  // (rows, C)
  T* out = y + first * shuffle.c;       // (rows, C)
  const int count = shuffle.c * static_cast<int>(m - first < rows ? m - first : rows);
  const int thread = static_cast<int>(threadIdx.x), whole = count - count % kN;
  const T* from = in;
  if constexpr (kStaged) {
    auto* tile = shared_memory<T>();  // (rows, C)
    for (int at = thread * kN; at < whole; at += kBlock * kN) store(tile + at, load<kN>(in + at));
    if (whole + thread < count) tile[whole + thread] = in[whole + thread];
    __syncthreads();
    from = tile;
  }
#pragma unroll 1
  for (int at = thread * kN; at < whole; at += kBlock * kN) {
    Vec<T, kN> picked;
#pragma unroll
    for (int k = 0; k < kN; ++k) picked[k] = from[shuffle.source(at + k)];
    store(out + at, picked);
  }
  if (whole + thread < count) out[whole + thread] = from[shuffle.source(whole + thread)];
}

}  // namespace

template <class T>
void channel_shuffle(const T* x, T* y, int64_t m, int64_t c, int64_t groups, Stream stream) {
  if (m * c == 0) return;
  constexpr int kN = kVector<T>;
  const Shuffle shuffle{static_cast<int>(c), static_cast<int>(c / groups), Divider(c),
                        Divider(groups)};
  const int64_t row_bytes = c * sizeof(T);
  int64_t rows = std::max<int64_t>(1, kTileBytes / row_bytes);
  // every block begins between two vectors
  while (rows * c % kN != 0) ++rows;
  const auto blocks = static_cast<unsigned>(ceil_div(m, rows));
  const auto start = [&](auto kernel, int64_t shared_bytes) {
    launch(kernel, blocks, kBlock, shared_bytes, stream, x, y, m, static_cast<int>(rows), shuffle);
  };
  const bool vectors = vectors_fit<kN>(x, 0) && vectors_fit<kN>(y, 0);
  if (rows * row_bytes > kMostTileBytes) {
    start(channel_shuffle_kernel<false, 1, T>, 0);
  } else if (vectors) {
    start(channel_shuffle_kernel<true, kN, T>, rows * row_bytes);
  } else {
    start(channel_shuffle_kernel<true, 1, T>, rows * row_bytes);
  }
}

template void channel_shuffle(const float*, float*, int64_t, int64_t, int64_t, Stream);

}  // namespace fc::cuda
