// Resize, NHWC: y[n,p,q,c] = bilinear mix of x around (source(p), source(q)), where source is
//
//   nearest    floor(p*H/P)                  half-pixel  max(0, (p + 1/2)*H/P - 1/2)
//   corners    p*(H-1)/(P-1), 0 if P = 1
//
// as exact fractions: num / den has the pixel as its quotient and the weight as its remainder.
// The gradient gathers: a pixel of gx looks at the pixels of gy that read it, in row order.
#include "cpu/resize.h"

#include "cpu/kernels/simd.h"
#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

inline ResizeSource source_of(int64_t i, int64_t in, int64_t out, ResizeMode mode) {
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

// The part of pixel `at` in what the source reads.
inline double weight_of(const ResizeSource& v, int64_t at) {
  return (at == v.first ? 1 - v.weight : 0) + (at == v.second ? v.weight : 0);
}

// sources (P + Q): of the rows, then of the columns. The divisions are done once.
inline void find_sources(const ResizeShape& g, ResizeSource* sources) {
  for (int64_t p = 0; p < g.p; ++p) sources[p] = source_of(p, g.h, g.p, g.mode);
  for (int64_t q = 0; q < g.q; ++q) sources[g.p + q] = source_of(q, g.w, g.q, g.mode);
}

template <class T>
void forward(const T* x, T* y, const ResizeShape& g, ResizeSource* sources) {
  find_sources(g, sources);
  const ResizeSource* columns = sources + g.p;
  parallel(g.n * g.p, grain_for(4 * g.q * g.c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const ResizeSource& v = sources[row % g.p];
      const T* top = x + (row / g.p * g.h + v.first) * g.w * g.c;      // (W, C)
      const T* bottom = x + (row / g.p * g.h + v.second) * g.w * g.c;  // (W, C)
      const T fy = static_cast<T>(v.weight);
      for (int64_t q = 0; q < g.q; ++q) {
        const ResizeSource& u = columns[q];
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

// The outputs first .. last - 1 of one axis that read a pixel, as the pixel grows.
struct Readers {
  const ResizeSource* sources;
  int64_t count, first = 0, last = 0;

  // pixels must not decrease
  void move_to(int64_t pixel) {
    while (first < count && sources[first].second < pixel) ++first;
    while (last < count && sources[last].first <= pixel) ++last;
  }
};

// Pixels of gy with their weights, whose sum is worked out in registers.
template <class T>
struct Weighted {
  static constexpr int64_t kMost = 16;
  const T* at[kMost];
  T weight[kMost];
  int64_t count = 0;
  bool first = true;

  void add(const T* pixel, double w, T* out, int64_t channels) {
    if (count == kMost) flush(out, channels);
    at[count] = pixel;
    weight[count++] = static_cast<T>(w);
  }

  // out = the sum of what was listed, added to what out holds unless this is the first time
  void flush(T* out, int64_t channels) {
    int64_t i = 0;
    for (; i + 4 * kVw<T> <= channels; i += 4 * kVw<T>) vectors<4>(out, i);
    for (; i + kVw<T> <= channels; i += kVw<T>) vectors<1>(out, i);
    for (; i < channels; ++i) {
      T sum = first ? T(0) : out[i];
      for (int64_t t = 0; t < count; ++t) sum += weight[t] * at[t][i];
      out[i] = sum;
    }
    count = 0;
    first = false;
  }

  template <int kCount>
  void vectors(T* out, int64_t i) const {
    Vec<T> sum[kCount];
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) sum[v] = first ? Vec<T>{} : load(out + i + v * kVw<T>);
    for (int64_t t = 0; t < count; ++t) {
      const T* x = at[t] + i;
#pragma GCC unroll 4
      for (int v = 0; v < kCount; ++v) sum[v] += weight[t] * load(x + v * kVw<T>);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) store(out + i + v * kVw<T>, sum[v]);
  }
};

template <class T>
void backward(const T* gy, T* gx, const ResizeShape& g, ResizeSource* sources) {
  find_sources(g, sources);
  parallel(g.n * g.h, grain_for(8 * g.w * g.c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t h = row % g.h;
      const T* image = gy + row / g.h * g.p * g.q * g.c;  // (P, Q, C)
      Readers rows{sources, g.p}, columns{sources + g.p, g.q};
      rows.move_to(h);
      for (int64_t w = 0; w < g.w; ++w) {
        columns.move_to(w);
        T* out = gx + (row * g.w + w) * g.c;
        Weighted<T> list;
        for (int64_t p = rows.first; p < rows.last; ++p) {
          const double fy = weight_of(rows.sources[p], h);
          if (fy == 0) continue;
          for (int64_t q = columns.first; q < columns.last; ++q) {
            const double fx = weight_of(columns.sources[q], w);
            if (fx != 0) list.add(image + (p * g.q + q) * g.c, fx * fy, out, g.c);
          }
        }
        list.flush(out, g.c);
      }
    }
  });
}

}  // namespace

ResizeKernels resize_kernels() {
  return {{forward<float>, backward<float>}, {forward<double>, backward<double>}};
}

}  // namespace fc::FC_ISA
