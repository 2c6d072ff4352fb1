// The gradient of pooling, for any reduction and any windows: a thread has one input pixel and kN
// channels and gathers from the windows that hold the pixel, in row order. Nothing is added up by
// two threads, so nothing depends on their order.
//
// A share has
//   add(sum, offset, number, divisor)   what a window gives; offset of its output in y, number of
//                                       the pixel in it as argmax counts
#pragma once

#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/device/pixels.h"
#include "cuda/pool/axis.h"

namespace fc::cuda {

template <int kN, class T, class Axis, class Share>
__global__ void __launch_bounds__(kBlock, kBlocksAtOnce)
    pool_gradient_kernel(T* gx, Windows<Axis> windows, PixelGrid inputs, Share share) {
  const int64_t item = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (item >= inputs.items()) return;
  const Place at = inputs.place(static_cast<int>(item));
  const Range rows = windows.rows.holding(at.row), columns = windows.columns.holding(at.column);
  const int channel = at.vector * kN;
  const int64_t image = at.image * windows.p * windows.q * windows.c + channel;
  auto sum = Vec<float, kN>::all(0);
#pragma unroll 1
  for (int p = rows.begin; p < rows.end; ++p) {
    const int r = windows.rows.number(p, at.row);
    if (Axis::kGaps && r < 0) continue;
#pragma unroll 2
    for (int q = columns.begin; q < columns.end; ++q) {
      const int s = windows.columns.number(q, at.column);
      if (Axis::kGaps && s < 0) continue;
      share.add(sum, image + (p * windows.q + q) * windows.c, r * windows.numbers_of_row + s,
                windows.rows.divisor(p) * windows.columns.divisor(q));
    }
  }
  const int64_t pixel = (at.image * windows.h + at.row) * windows.w + at.column;
  store(gx + pixel * windows.c + channel, narrow<T>(sum));
}

template <int kN, class T, class Axis, class Share>
void pool_gradient(T* gx, const Windows<Axis>& windows, int64_t images, const Share& share,
                   Stream stream) {
  for_pixel_grids(images, windows.h, windows.w, windows.c / kN, [&](const PixelGrid& inputs) {
    launch(pool_gradient_kernel<kN, T, Axis, Share>, blocks_for(inputs.items()), kBlock, 0, stream,
           gx, windows, inputs, share);
  });
}

}  // namespace fc::cuda
