// The walk over a pooling window, for any reduction and any windows.
//
// Small windows: a thread has one output pixel and kN channels, and takes the window's pixels in
// row order. Large windows: `slots` threads share them, each takes every slots-th pixel, and a tree
// over shared memory combines what they found. The size of the window alone decides, so results
// depend neither on the batch nor on the machine.
//
// A reduction has
//   Partial<kN>                    what is known of kN channels; Partial(number of the first pixel)
//   take(partial, pixel, number)   one more pixel, by growing number
//   fold(partial)                  at the end of a short run of pixels
//   planes<kN>, put, merge         4-byte values of a partial; to shared memory, and from there
//   store(partial, at, divisor)    the outputs
#pragma once

#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/device/pixels.h"
#include "cuda/pool/axis.h"

namespace fc::cuda {

// ---- one thread per output

template <int kN, int kAhead, class T, class Axis, class Reduction>
__global__ void __launch_bounds__(kBlock, kBlocksAtOnce)
    window_kernel(const T* x, Windows<Axis> windows, PixelGrid outputs, Reduction reduction) {
  const int64_t item = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (item >= outputs.items()) return;
  const Place at = outputs.place(static_cast<int>(item));
  const Span rows = windows.rows.window(at.row), columns = windows.columns.window(at.column);
  const T* image = x + at.image * windows.h * windows.w * windows.c + at.vector * kN;  // (H, W, C)
  const int pitch = columns.step * windows.c;
  typename Reduction::template Partial<kN> partial(windows.first_number(rows, columns));
#pragma unroll 1
  for (int i = 0; i < rows.count; ++i) {
    const int h = rows.first + i * rows.step;
    const T* row = image + (h * windows.w + columns.first) * windows.c;
    const int number = (rows.number + i) * windows.numbers_of_row + columns.number;
#pragma unroll 1
    for (int j = 0; j < columns.count; j += kAhead) {
      Vec<T, kN> pixels[kAhead];  // all are on the way before the first is taken
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (j + k < columns.count) pixels[k] = load<kN>(row + (j + k) * pitch);
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (j + k < columns.count) reduction.take(partial, widen(pixels[k]), number + j + k);
      }
    }
    reduction.fold(partial);
  }
  reduction.store(partial, windows.output_offset(at, kN),
                  windows.rows.divisor(at.row) * windows.columns.divisor(at.column));
}

// ---- several threads per output

// A block has one window and `lanes` neighbouring vectors of channels.
struct Tile {
  int lanes = 1, slots = 1;  // powers of two
  int lane_bits = 0;         // lanes = 1 << lane_bits

  Tile(int vectors, int taps) {
    while (lanes < vectors && lanes < kWarp) lanes *= 2;
    // fewer idle lanes in the last tile, as long as a row of lanes fills 128 bytes
    while (lanes > 8 && ceil_div(vectors, lanes / 2) < 2 * ceil_div(vectors, lanes)) lanes /= 2;
    // 8 pixels or more for a thread
    while (slots * lanes < kWarp || (slots * 8 < taps && slots * lanes < kMostThreads)) slots *= 2;
    while (1 << lane_bits < lanes) ++lane_bits;
  }
  static constexpr int kMostThreads = 1024;
};

// Neither is negative: unsigned division is the shorter one.
FC_DEVICE int quotient(int a, int b) {
  return static_cast<int>(static_cast<unsigned>(a) / static_cast<unsigned>(b));
}

template <int kN, class T, class Axis, class Reduction>
__global__ void __launch_bounds__(Tile::kMostThreads)
    shared_window_kernel(const T* x, Windows<Axis> windows, Tile tile, PixelGrid tiles,
                         Reduction reduction) {
  constexpr int kAhead = 4, kRun = 8;  // loads on the way; kAhead * kRun pixels before a fold
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread & (tile.lanes - 1), slot = thread >> tile.lane_bits;
  Place at = tiles.place(static_cast<int>(blockIdx.x));
  at.vector = at.vector * tile.lanes + lane;
  const Span rows = windows.rows.window(at.row), columns = windows.columns.window(at.column);
  const T* image = x + at.image * windows.h * windows.w * windows.c + at.vector * kN;  // (H, W, C)
  // lanes behind the last channel read nothing, but take part in the tree
  const bool inside = at.vector * kN < windows.c;
  const int taps = inside ? rows.count * columns.count : 0;
  typename Reduction::template Partial<kN> partial(windows.first_number(rows, columns));

  // the pixel (i, j) of the window, and how far it is to the thread's next one
  const int width = std::max(1, columns.count);
  const int rows_on = quotient(tile.slots, width), columns_on = tile.slots - rows_on * width;
  int i = quotient(slot, width), j = slot - i * width, run = 0;
  for (int first = slot; first < taps; first += kAhead * tile.slots) {
    Vec<T, kN> pixels[kAhead];
    int number[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (first + k * tile.slots >= taps) break;
      const int h = rows.first + i * rows.step, w = columns.first + j * columns.step;
      pixels[k] = load<kN>(image + (h * windows.w + w) * windows.c);
      number[k] = (rows.number + i) * windows.numbers_of_row + columns.number + j;
      i += rows_on;
      j += columns_on;
      if (j >= width) j -= width, ++i;
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      if (first + k * tile.slots < taps) reduction.take(partial, widen(pixels[k]), number[k]);
    }
    if (++run % kRun == 0) reduction.fold(partial);
  }
  reduction.fold(partial);

  auto* shared = shared_memory<float>();  // (planes, threads)
  const int threads = static_cast<int>(blockDim.x);
  reduction.put(partial, shared + thread, threads);
  for (int half = tile.slots / 2; half > 0; half /= 2) {
    __syncthreads();
    if (slot < half) {
      reduction.merge(partial, shared + thread + half * tile.lanes, threads);
      reduction.put(partial, shared + thread, threads);
    }
  }
  if (slot == 0 && inside) {
    reduction.store(partial, windows.output_offset(at, kN),
                    windows.rows.divisor(at.row) * windows.columns.divisor(at.column));
  }
}

// ---- the choice

// From here on a window is worth several threads.
constexpr int kSharedTaps = 32;

template <int kN, class T, class Axis, class Reduction>
void pool_windows(const T* x, const Windows<Axis>& windows, int64_t images,
                  const Reduction& reduction, Stream stream) {
  const int vectors = windows.c / kN;
  if (windows.most_taps >= kSharedTaps) {
    const Tile tile(vectors, windows.most_taps);
    const int threads = tile.lanes * tile.slots;
    const size_t shared = sizeof(float) * Reduction::template planes<kN> * threads;
    for_pixel_grids(images, windows.p, windows.q, ceil_div(vectors, tile.lanes),
                    [&](const PixelGrid& tiles) {
                      launch(shared_window_kernel<kN, T, Axis, Reduction>, tiles.items(), threads,
                             shared, stream, x, windows, tile, tiles, reduction);
                    });
    return;
  }
  for_pixel_grids(images, windows.p, windows.q, vectors, [&](const PixelGrid& outputs) {
    // loads that a row of the window does not have cost instructions
    if (windows.column_taps % 3 == 0) {
      launch(window_kernel<kN, 3, T, Axis, Reduction>, blocks_for(outputs.items()), kBlock, 0,
             stream, x, windows, outputs, reduction);
    } else {
      launch(window_kernel<kN, 2, T, Axis, Reduction>, blocks_for(outputs.items()), kBlock, 0,
             stream, x, windows, outputs, reduction);
    }
  });
}

}  // namespace fc::cuda
