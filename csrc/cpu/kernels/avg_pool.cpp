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
      const int64_t n = row / g.p, p = row % g.p;
      const int64_t rows = rows_of(g, p, with_pad);
      for (int64_t q = 0; q < g.q; ++q) {
        T* out = y + (row * g.q + q) * g.c;
        fill(out, g.c, T(0));
        for (int64_t r = 0; r < g.r; ++r) {
          const int64_t h = p * g.stride_h + r * g.dilation_h - g.pad_top;
          if (h < 0 || h >= g.h) continue;
          for (int64_t s = 0; s < g.s; ++s) {
            const int64_t w = q * g.stride_w + s * g.dilation_w - g.pad_left;
            if (w < 0 || w >= g.w) continue;
            const T* in = x + ((n * g.h + h) * g.w + w) * g.c;
            FC_INDEPENDENT
            for (int64_t i = 0; i < g.c; ++i) out[i] += in[i];
          }
        }
        const T size = static_cast<T>(rows * columns_of(g, q, with_pad));
        for (int64_t i = 0; i < g.c; ++i) out[i] /= size;
      }
    }
  });
}

template <class T>
void backward(const T* gy, T* gx, const Pool2d& g, bool with_pad) {
  parallel(g.n * g.h, grain_for(g.w * g.c * g.r), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / g.h, h = row % g.h;
      T* gx_row = gx + row * g.w * g.c;  // (W, C)
      fill(gx_row, g.w * g.c, T(0));
      for_windows_over_row(g, h, [&](int64_t w, int64_t p, int64_t q, int64_t) {
        const T size = static_cast<T>(rows_of(g, p, with_pad) * columns_of(g, q, with_pad));
        const T* from = gy + ((n * g.p + p) * g.q + q) * g.c;
        T* out = gx_row + w * g.c;
        FC_INDEPENDENT
        for (int64_t i = 0; i < g.c; ++i) out[i] += from[i] / size;
      });
    }
  });
}

}  // namespace

AvgPoolKernels avg_pool_kernels() {
  return {{forward<float>, backward<float>}, {forward<double>, backward<double>}};
}

}  // namespace fc::FC_ISA
