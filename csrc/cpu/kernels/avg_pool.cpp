// Average pooling, NHWC, vectorised over c:
//
//   y[n,p,q,c]  = sum_{r,s} x[n, p*stride + r*dilation - pad, ..., c] / size(p,q)
//   gx[n,h,w,c] = sum of gy[n,p,q,c] / size(p,q) over the windows that cover (h, w), in row order
//
// size counts the taps inside the padded input (count_include_pad) or inside the input.
#include "cpu/kernels/pool_common.h"
#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// taps of window i that lie in [low, high) along one axis, at least 1
inline int64_t taps_in(int64_t i, int64_t taps, int64_t stride, int64_t dilation, int64_t pad,
                       int64_t low, int64_t high) {
  int64_t count = 0;
  for (int64_t t = 0; t < taps; ++t) {
    const int64_t at = i * stride + t * dilation - pad;
    count += at >= low && at < high;
  }
  return max_of<int64_t>(1, count);
}

inline int64_t rows_of(const Pool2d& g, int64_t p, bool with_pad) {
  return taps_in(p, g.r, g.stride_h, g.dilation_h, g.pad_top, with_pad ? -g.pad_top : 0,
                 with_pad ? g.h + g.pad_bottom : g.h);
}

inline int64_t columns_of(const Pool2d& g, int64_t q, bool with_pad) {
  return taps_in(q, g.s, g.stride_w, g.dilation_w, g.pad_left, with_pad ? -g.pad_left : 0,
                 with_pad ? g.w + g.pad_right : g.w);
}

template <class T>
void forward(const T* x, T* y, const Pool2d& g, bool with_pad) {
  parallel(g.n * g.p, grain_for(g.q * g.c * g.r * g.s), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* image = x + row / g.p * g.h * g.w * g.c;  // (H, W, C)
      const int64_t top = row % g.p * g.stride_h - g.pad_top;
      const int64_t rows = rows_of(g, row % g.p, with_pad);
      for (int64_t q = 0; q < g.q; ++q) {
        const int64_t left = q * g.stride_w - g.pad_left;
        T* out = y + (row * g.q + q) * g.c;
        Pixels<T> window;
        for (int64_t r = 0; r < g.r; ++r) {
          const int64_t h = top + r * g.dilation_h;
          if (h < 0 || h >= g.h) continue;
          for (int64_t s = 0; s < g.s; ++s) {
            const int64_t w = left + s * g.dilation_w;
            if (w < 0 || w >= g.w) continue;
            window.add(image, (h * g.w + w) * g.c, 0, [&] { sum_pixels(window, out, g.c); });
          }
        }
        sum_pixels(window, out, g.c);
        divide(out, g.c, rows * columns_of(g, q, with_pad));
      }
    }
  });
}

// out = sum of gy / size over the windows that cover a pixel; number holds their sizes
template <class T>
inline void sum_shares(const Pixels<T>& windows, T* out, int64_t channels) {
  for_vectors<T>(channels, [&](auto sum, int64_t i) {
    if (!windows.first) read(out + i, sum);
    for (int64_t t = 0; t < windows.count; ++t) {
      auto v = sum;
      read(windows.at[t] + i, v);
      sum += v / static_cast<T>(windows.number[t]);
    }
    write(out + i, sum);
  });
}

template <class T>
void backward(const T* gy, T* gx, const Pool2d& g, bool with_pad) {
  const bool past = streams_pixels<T>(g.n * g.h * g.w * g.c, g.c);
  parallel(g.n * g.h, grain_for(4 * g.w * g.c), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kPixelBlock> out(past);
    for (int64_t row = begin; row < end; ++row) {
      const T* image = gy + row / g.h * g.p * g.q * g.c;
      Covering p = rows_of_windows(g), q = columns_of_windows(g);
      p.move_to(row % g.h);
      T* gx_row = gx + row * g.w * g.c;  // (W, C)
      write_pixels(out, gx_row, g.w, g.c, [&](int64_t w, int64_t c0, int64_t width, T* block) {
        q.move_to(w);
        Pixels<T> windows;
        for (int64_t i = p.first; i <= p.last; ++i) {
          const int64_t rows = rows_of(g, i, with_pad);
          for (int64_t j = q.first; j <= q.last; ++j) {
            if (p.tap(i) < 0 || q.tap(j) < 0) continue;
            windows.add(image + c0, (i * g.q + j) * g.c, rows * columns_of(g, j, with_pad),
                        [&] { sum_shares(windows, block, width); });
          }
        }
        sum_shares(windows, block, width);
      });
    }
    out.finish();
  });
}

}  // namespace

AvgPoolKernels avg_pool_kernels() {
  return {{forward<float>, backward<float>}, {forward<double>, backward<double>}};
}

}  // namespace fc::FC_ISA
