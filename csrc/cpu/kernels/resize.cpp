// Resize, NHWC: y[n,p,q,c] = bilinear mix of x around (source(p), source(q)), where source is
//
//   nearest    floor(p*H/P)                  half-pixel  max(0, (p + 1/2)*H/P - 1/2)
//   corners    p*(H-1)/(P-1), 0 if P = 1
//
// as exact fractions: num / den has the pixel as its quotient and the weight as its remainder.
// The gradient gathers: a row of gx looks at the rows of gy that read it, in order.
#include "cpu/resize.h"

#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// Two neighbouring pixels of the input and the weight of the second.
struct Source {
  int64_t first, second;
  double weight;

  double weight_of(int64_t pixel) const {
    return (pixel == first ? 1 - weight : 0) + (pixel == second ? weight : 0);
  }
};

inline Source source_of(int64_t i, int64_t in, int64_t out, ResizeMode mode) {
  int64_t num = i * in, den = out;
  if (mode == ResizeMode::kHalfPixel) {
    num = max_of<int64_t>(0, (2 * i + 1) * in - out);
    den = 2 * out;
  } else if (mode == ResizeMode::kCorners) {
    num = out > 1 ? i * (in - 1) : 0;
    den = max_of<int64_t>(1, out - 1);
  }
  const int64_t first = num / den;
  const double weight =
      mode == ResizeMode::kNearest ? 0 : static_cast<double>(num % den) / static_cast<double>(den);
  return {first, min_of(first + 1, in - 1), weight};
}

template <class T>
void forward(const T* x, T* y, const ResizeShape& g) {
  parallel(g.n * g.p, grain_for(4 * g.q * g.c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const Source v = source_of(row % g.p, g.h, g.p, g.mode);
      const T* top = x + (row / g.p * g.h + v.first) * g.w * g.c;      // (W, C)
      const T* bottom = x + (row / g.p * g.h + v.second) * g.w * g.c;  // (W, C)
      const T fy = static_cast<T>(v.weight);
      for (int64_t q = 0; q < g.q; ++q) {
        const Source u = source_of(q, g.w, g.q, g.mode);
        const T *a = top + u.first * g.c, *b = top + u.second * g.c;
        const T *d = bottom + u.first * g.c, *e = bottom + u.second * g.c;
        const T fx = static_cast<T>(u.weight);
        T* out = y + (row * g.q + q) * g.c;
        if (g.mode == ResizeMode::kNearest) {
          FC_INDEPENDENT
          for (int64_t i = 0; i < g.c; ++i) out[i] = a[i];
        } else {
          FC_INDEPENDENT
          for (int64_t i = 0; i < g.c; ++i) {
            const T upper = (T(1) - fx) * a[i] + fx * b[i];
            const T lower = (T(1) - fx) * d[i] + fx * e[i];
            out[i] = (T(1) - fy) * upper + fy * lower;
          }
        }
      }
    }
  });
}

// gx_row (W, C) += fy * what the row gy_row (Q, C) gives to each of its pixels
template <class T>
inline void add_row(const T* gy_row, T* gx_row, double fy, const ResizeShape& g) {
  int64_t q0 = 0;  // the first q that reads pixel w or a later one
  for (int64_t w = 0; w < g.w; ++w) {
    while (q0 < g.q && source_of(q0, g.w, g.q, g.mode).second < w) ++q0;
    for (int64_t q = q0; q < g.q; ++q) {
      const Source u = source_of(q, g.w, g.q, g.mode);
      if (u.first > w) break;
      const double fx = u.weight_of(w);
      if (fx == 0) continue;
      const T weight = static_cast<T>(fx * fy);
      const T* from = gy_row + q * g.c;
      T* out = gx_row + w * g.c;
      FC_INDEPENDENT
      for (int64_t i = 0; i < g.c; ++i) out[i] += weight * from[i];
    }
  }
}

template <class T>
void backward(const T* gy, T* gx, const ResizeShape& g) {
  parallel(g.n * g.h, grain_for(4 * g.w * g.c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      T* gx_row = gx + row * g.w * g.c;
      fill(gx_row, g.w * g.c, T(0));
      for (int64_t p = 0; p < g.p; ++p) {
        const double fy = source_of(p, g.h, g.p, g.mode).weight_of(row % g.h);
        if (fy != 0) add_row(gy + (row / g.h * g.p + p) * g.q * g.c, gx_row, fy, g);
      }
    }
  });
}

}  // namespace

ResizeKernels resize_kernels() {
  return {{forward<float>, backward<float>}, {forward<double>, backward<double>}};
}

}  // namespace fc::FC_ISA
