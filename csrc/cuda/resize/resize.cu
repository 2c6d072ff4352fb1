// Resize, NHWC: y[n,p,q,c] is a mix of the pixels of x around (source(p), source(q)), see axis.h:
//
//   y  = (1-fy) * ((1-fx) * x[h,w] + fx * x[h,w+1]) + fy * ((1-fx) * x[h+1,w] + fx * x[h+1,w+1])
//   gx = sum of weight * gy over the outputs that read the pixel
//
// nearest copies x[h,w]. A thread has one pixel and kN channels; the gradient gathers, so that
// nothing is added up by two threads.
#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/device/pixels.h"
#include "cuda/resize/axis.h"

namespace fc::cuda {
namespace {

struct Resize {
  ResizeAxis rows, columns;
  int h, w, p, q, c;

  explicit Resize(const ResizeShape& g)
      : rows(g.h, g.p, g.mode),
        columns(g.w, g.q, g.mode),
        h(static_cast<int>(g.h)),
        w(static_cast<int>(g.w)),
        p(static_cast<int>(g.p)),
        q(static_cast<int>(g.q)),
        c(static_cast<int>(g.c)) {}
};

template <bool kNearest, int kN, class T>
__global__ void __launch_bounds__(kBlock)
    resize_kernel(const T* x, T* y, Resize g, PixelGrid outputs) {
  const int64_t item = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (item >= outputs.items()) return;
  const Place at = outputs.place(static_cast<int>(item));
  const ResizeAxis::Source v = g.rows.source(at.row), u = g.columns.source(at.column);
  const T* image = x + at.image * g.h * g.w * g.c + at.vector * kN;  // (H, W, C)
  T* out = y + ((at.image * g.p + at.row) * g.q + at.column) * g.c + at.vector * kN;
  const int top = v.first * g.w, bottom = v.second * g.w;
  if constexpr (kNearest) {
    store(out, load<kN>(image + (top + u.first) * g.c));
  } else {
    const auto a = widen(load<kN>(image + (top + u.first) * g.c));
    const auto b = widen(load<kN>(image + (top + u.second) * g.c));
    const auto d = widen(load<kN>(image + (bottom + u.first) * g.c));
    const auto e = widen(load<kN>(image + (bottom + u.second) * g.c));
    Vec<float, kN> mix;
#pragma unroll
    for (int i = 0; i < kN; ++i) {
      const float upper = (1 - u.weight) * a[i] + u.weight * b[i];
      const float lower = (1 - u.weight) * d[i] + u.weight * e[i];
      mix[i] = (1 - v.weight) * upper + v.weight * lower;
    }
    store(out, narrow<T>(mix));
  }
}

// Four columns at a time: their weights are found once for all rows, and four loads are on the way.
template <int kN, class T>
__global__ void __launch_bounds__(kBlock)
    resize_gradient_kernel(const T* gy, T* gx, Resize g, PixelGrid inputs) {
  constexpr int kColumns = 4;
  const int64_t item = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (item >= inputs.items()) return;
  const Place at = inputs.place(static_cast<int>(item));
  const ResizeAxis::Range rows = g.rows.readers(at.row), columns = g.columns.readers(at.column);
  const T* image = gy + at.image * g.p * g.q * g.c + at.vector * kN;  // (P, Q, C)
  auto sum = Vec<float, kN>::all(0);
  for (int q = columns.begin; q < columns.end; q += kColumns) {
    float fx[kColumns];
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      fx[k] = q + k < columns.end ? g.columns.weight_of(at.column, q + k) : 0;
    }
    for (int p = rows.begin; p < rows.end; ++p) {
      const T* row = image + (p * g.q + q) * g.c;
      Vec<T, kN> pixels[kColumns];
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        if (fx[k] != 0) pixels[k] = load<kN>(row + k * g.c);
      }
      const float fy = g.rows.weight_of(at.row, p);
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        if (fx[k] == 0) continue;
        const auto pixel = widen(pixels[k]);
#pragma unroll
        for (int i = 0; i < kN; ++i) sum[i] += fx[k] * fy * pixel[i];
      }
    }
  }
  const int64_t pixel = (at.image * g.h + at.row) * g.w + at.column;
  store(gx + pixel * g.c + at.vector * kN, narrow<T>(sum));
}

template <int kN, class T>
void forward(const T* x, T* y, const ResizeShape& g, Stream stream) {
  const Resize resize(g);
  for_pixel_grids(g.n, g.p, g.q, g.c / kN, [&](const PixelGrid& outputs) {
    const dim3 blocks = blocks_for(outputs.items());
    if (g.mode == ResizeMode::kNearest) {
      launch(resize_kernel<true, kN, T>, blocks, kBlock, 0, stream, x, y, resize, outputs);
    } else {
      launch(resize_kernel<false, kN, T>, blocks, kBlock, 0, stream, x, y, resize, outputs);
    }
  });
}

template <int kN, class T>
void backward(const T* gy, T* gx, const ResizeShape& g, Stream stream) {
  const Resize resize(g);
  for_pixel_grids(g.n, g.h, g.w, g.c / kN, [&](const PixelGrid& inputs) {
    launch(resize_gradient_kernel<kN, T>, blocks_for(inputs.items()), kBlock, 0, stream, gy, gx,
           resize, inputs);
  });
}

}  // namespace

bool resize_fits(const ResizeShape& g) {
  constexpr int64_t kMost = int64_t{1} << 31;
  return g.h * g.w * g.c < kMost && g.p * g.q * g.c < kMost && ResizeAxis::fits(g.h, g.p, g.mode) &&
         ResizeAxis::fits(g.w, g.q, g.mode);
}

template <class T>
void resize_fwd(const T* x, T* y, const ResizeShape& g, Stream stream) {
  constexpr int kN = kVector<T>;
  if (vectors_fit<kN>(x, g.c) && vectors_fit<kN>(y, g.c)) {
    forward<kN>(x, y, g, stream);
  } else {
    forward<1>(x, y, g, stream);
  }
}

template <class T>
void resize_bwd(const T* gy, T* gx, const ResizeShape& g, Stream stream) {
  constexpr int kN = kVector<T>;
  if (vectors_fit<kN>(gy, g.c) && vectors_fit<kN>(gx, g.c)) {
    backward<kN>(gy, gx, g, stream);
  } else {
    backward<1>(gy, gx, g, stream);
  }
}

template void resize_fwd(const float*, float*, const ResizeShape&, Stream);
template void resize_bwd(const float*, float*, const ResizeShape&, Stream);

}  // namespace fc::cuda
