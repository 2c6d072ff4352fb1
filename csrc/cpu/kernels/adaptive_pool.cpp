// Adaptive pooling, NHWC: window p covers rows floor(p*H/P) .. ceil((p+1)*H/P), columns alike.
//
//   average  y[n,p,q,c] = mean of x over the window       gx[n,h,w,c] = sum gy / (window's size)
//   maximum  y[n,p,q,c] = max of x over the window        gx = sum of gy where argmax = h*W + w
//
// P = Q = 1 is global average pooling: work is cut over blocks of channels as well as over pixels.
#include "cpu/kernels/pool_maximum.h"
#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kBlock = 256;  // channels of one piece of work

// taps of the largest window; 0 without outputs
inline int64_t taps_of(const Pool2d& g) {
  return g.p * g.q == 0 ? 0 : ceil_div(g.h, g.p) * ceil_div(g.w, g.q);
}

template <class T>
void average(const T* x, T* y, const Pool2d& g) {
  const int64_t blocks = ceil_div(g.c, kBlock);
  const int64_t taps = taps_of(g);
  parallel(g.n * g.p * g.q * blocks, grain_for(taps * min_of(g.c, kBlock)),
           [&](int64_t begin, int64_t end, int) {
             for (int64_t unit = begin; unit < end; ++unit) {
               const int64_t pixel = unit / blocks, c0 = unit % blocks * kBlock;
               const int64_t n = pixel / (g.p * g.q), p = pixel / g.q % g.p, q = pixel % g.q;
               const int64_t width = min_of(kBlock, g.c - c0);
               const int64_t h0 = window_begin(p, g.h, g.p), h1 = window_end(p, g.h, g.p);
               const int64_t w0 = window_begin(q, g.w, g.q), w1 = window_end(q, g.w, g.q);
               T total[kBlock] = {}, row[kBlock];
               // row by row: the error of a sum of 50,000 values grows with its longest chain
               for (int64_t h = h0; h < h1; ++h) {
                 fill(row, width, T(0));
                 for (int64_t w = w0; w < w1; ++w) {
                   const T* in = x + ((n * g.h + h) * g.w + w) * g.c + c0;
                   for (int64_t i = 0; i < width; ++i) row[i] += in[i];
                 }
                 for (int64_t i = 0; i < width; ++i) total[i] += row[i];
               }
               const T size = static_cast<T>((h1 - h0) * (w1 - w0));
               T* out = y + pixel * g.c + c0;
               for (int64_t i = 0; i < width; ++i) out[i] = total[i] / size;
             }
           });
}

template <class T>
void average_grad(const T* gy, T* gx, const Pool2d& g) {
  const bool past = streams_pixels<T>(g.n * g.h * g.w * g.c, g.c);
  parallel(g.n * g.h * g.w, grain_for(4 * g.c), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kPixelBlock> out(past);
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const int64_t n = pixel / (g.h * g.w), h = pixel / g.w % g.h, w = pixel % g.w;
      write_pixels(out, gx + pixel * g.c, 1, g.c,
                   [&](int64_t, int64_t c0, int64_t width, T* block) {
                     bool first = true;
                     for_adaptive_windows(g, h, w, [&](int64_t p, int64_t q) {
                       const int64_t rows = window_end(p, g.h, g.p) - window_begin(p, g.h, g.p);
                       const int64_t columns = window_end(q, g.w, g.q) - window_begin(q, g.w, g.q);
                       const T size = static_cast<T>(rows * columns);
                       const T* from = gy + ((n * g.p + p) * g.q + q) * g.c + c0;
                       if (first) {
                         FC_INDEPENDENT
                         for (int64_t i = 0; i < width; ++i) block[i] = from[i] / size;
                       } else {
                         FC_INDEPENDENT
                         for (int64_t i = 0; i < width; ++i) block[i] += from[i] / size;
                       }
                       first = false;
                     });
                     if (first) fill(block, width, T(0));  // no outputs at all
                   });
    }
    out.finish();
  });
}

template <bool kIndexed, class T>
void pool_max(const T* x, T* y, int32_t* argmax, const Pool2d& g) {
  const int64_t blocks = ceil_div(g.c, kBlock);
  const int64_t cost = taps_of(g) * min_of(g.c, kBlock);
  parallel(g.n * g.p * g.q * blocks, grain_for(cost), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t pixel = unit / blocks, c0 = unit % blocks * kBlock;
      const int64_t p = pixel / g.q % g.p, q = pixel % g.q, width = min_of(kBlock, g.c - c0);
      const T* image = x + pixel / (g.p * g.q) * g.h * g.w * g.c + c0;  // (H, W, C)
      T* out = y + pixel * g.c + c0;
      int32_t* index = kIndexed ? argmax + pixel * g.c + c0 : nullptr;
      Pixels<T> window;
      for (int64_t h = window_begin(p, g.h, g.p); h < window_end(p, g.h, g.p); ++h) {
        for (int64_t w = window_begin(q, g.w, g.q); w < window_end(q, g.w, g.q); ++w) {
          window.add(image, (h * g.w + w) * g.c, h * g.w + w,
                     [&] { max_pixels<kIndexed>(window, out, index, width); });
        }
      }
      finish_max<kIndexed>(window, out, index, width);
    }
  });
}

template <class T>
void maximum(const T* x, T* y, int32_t* argmax, const Pool2d& g) {
  argmax ? pool_max<true>(x, y, argmax, g) : pool_max<false>(x, y, argmax, g);
}

template <class T>
void maximum_grad(const T* gy, const int32_t* argmax, T* gx, const Pool2d& g) {
  const bool past = streams_pixels<T>(g.n * g.h * g.w * g.c, g.c);
  parallel(g.n * g.h * g.w, grain_for(4 * g.c), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kPixelBlock> out(past);
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const int64_t h = pixel / g.w % g.h, w = pixel % g.w;
      const int64_t image = pixel / (g.h * g.w) * g.p * g.q * g.c;
      write_pixels(out, gx + pixel * g.c, 1, g.c,
                   [&](int64_t, int64_t c0, int64_t width, T* block) {
                     const int32_t* index = argmax + image + c0;
                     Pixels<T> windows;
                     for_adaptive_windows(g, h, w, [&](int64_t p, int64_t q) {
                       windows.add(gy + image + c0, (p * g.q + q) * g.c, h * g.w + w,
                                   [&] { sum_chosen(windows, index, block, width); });
                     });
                     sum_chosen(windows, index, block, width);
                   });
    }
    out.finish();
  });
}

}  // namespace

AdaptivePoolKernels adaptive_pool_kernels() {
  return {{average<float>, average_grad<float>, maximum<float>, maximum_grad<float>},
          {average<double>, average_grad<double>, maximum<double>, maximum_grad<double>}};
}

}  // namespace fc::FC_ISA
