// Max pooling, NHWC, vectorised over c:
//
//   y[n,p,q,c]  = max_{r,s} x[n, p*stride + r*dilation - pad, ..., c]      padding never wins
//   gx[n,h,w,c] = sum of gy[n,p,q,c] over the windows whose argmax is (h, w)
//
// The gradient gathers: a row of gx looks at the windows that cover it, in row order. No two
// threads write the same pixel, and the order of the sum does not depend on their number.
#include "cpu/kernels/pool_common.h"
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
        const int64_t left = q * g.stride_w - g.pad_left;
        for (int64_t c0 = 0; c0 < g.c; c0 += kChannels) {
          Maximum<T, kIndexed> maximum(min_of(kChannels, g.c - c0));
          for (int64_t r = 0; r < g.r; ++r) {
            const int64_t h = top + r * g.dilation_h;
            if (h < 0 || h >= g.h) continue;
            for (int64_t s = 0; s < g.s; ++s) {
              const int64_t w = left + s * g.dilation_w;
              if (w < 0 || w >= g.w) continue;
              maximum.take(image + (h * g.w + w) * g.c + c0, r * g.s + s);
            }
          }
          const int64_t at = (row * g.q + q) * g.c + c0;
          maximum.store(y + at, kIndexed ? argmax + at : nullptr);
        }
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
  parallel(g.n * g.h, grain_for(g.w * g.c * g.r), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / g.h, h = row % g.h;
      T* gx_row = gx + row * g.w * g.c;  // (W, C)
      fill(gx_row, g.w * g.c, T(0));
      for_windows_over_row(g, h, [&](int64_t w, int64_t p, int64_t q, int64_t tap) {
        const int64_t at = ((n * g.p + p) * g.q + q) * g.c;
        add_where(gy + at, argmax + at, tap, gx_row + w * g.c, g.c);
      });
    }
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
