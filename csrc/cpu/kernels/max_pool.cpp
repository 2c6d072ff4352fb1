// Max pooling, NHWC, vectorised over c:
//
//   y[n,p,q,c]  = max_{r,s} x[n, p*stride + r*dilation - pad, ..., c]      padding never wins
//   gx[n,h,w,c] = sum of gy[n,p,q,c] over the windows whose argmax is (h, w)
//
// The gradient gathers: a pixel of gx looks at the windows that cover it, in row order. No two
// threads write the same pixel, and the order of the sum does not depend on their number.
#include "cpu/kernels/pool_maximum.h"
#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <bool kIndexed, class T, class Index>
void pool(const T* x, T* y, Index* argmax, const Pool2d& g) {
  parallel(g.n * g.p, grain_for(g.q * g.c * g.r * g.s), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* image = x + row / g.p * g.h * g.w * g.c;  // (H, W, C)
      const int64_t top = row % g.p * g.stride_h - g.pad_top;
      for (int64_t q = 0; q < g.q; ++q) {
        const int64_t left = q * g.stride_w - g.pad_left, at = (row * g.q + q) * g.c;
        Index* index = kIndexed ? argmax + at : nullptr;
        Pixels<T> window;
        for (int64_t r = 0; r < g.r; ++r) {
          const int64_t h = top + r * g.dilation_h;
          if (h < 0 || h >= g.h) continue;
          for (int64_t s = 0; s < g.s; ++s) {
            const int64_t w = left + s * g.dilation_w;
            if (w < 0 || w >= g.w) continue;
            window.add(image, (h * g.w + w) * g.c, r * g.s + s,
                       [&] { max_pixels<kIndexed>(window, y + at, index, g.c); });
          }
        }
        finish_max<kIndexed>(window, y + at, index, g.c);
      }
    }
  });
}

template <class T, class Index>
void forward(const T* x, T* y, Index* argmax, const Pool2d& g) {
  argmax ? pool<true>(x, y, argmax, g) : pool<false>(x, y, argmax, g);
}

template <class T, class Index>
void backward(const T* gy, const Index* argmax, T* gx, const Pool2d& g) {
  const bool past = streams_pixels<T>(g.n * g.h * g.w * g.c, g.c);
  parallel(g.n * g.h, grain_for(4 * g.w * g.c), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kPixelBlock> out(past);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / g.h * g.p * g.q * g.c;
      Covering p = rows_of_windows(g), q = columns_of_windows(g);
      p.move_to(row % g.h);
      T* gx_row = gx + row * g.w * g.c;  // (W, C)
      write_pixels(out, gx_row, g.w, g.c, [&](int64_t w, int64_t c0, int64_t width, T* block) {
        q.move_to(w);
        const Index* index = argmax + image + c0;
        Pixels<T> windows;
        for (int64_t i = p.first; i <= p.last; ++i) {
          for (int64_t j = q.first; j <= q.last; ++j) {
            const int64_t r = p.tap(i), s = q.tap(j);
            if (r < 0 || s < 0) continue;
            windows.add(gy + image + c0, (i * g.q + j) * g.c, r * g.s + s,
                        [&] { sum_chosen(windows, index, block, width); });
          }
        }
        sum_chosen(windows, index, block, width);
      });
    }
    out.finish();
  });
}

}  // namespace

MaxPoolKernels max_pool_kernels() {
  return {{forward<float, uint8_t>, forward<float, int32_t>, backward<float, uint8_t>,
           backward<float, int32_t>},
          {forward<double, uint8_t>, forward<double, int32_t>, backward<double, uint8_t>,
           backward<double, int32_t>}};
}

}  // namespace fc::FC_ISA
