// columns[(n,p,q)][(r,s,c)] = x[n, p*stride+r*dilation-pad, q*stride+s*dilation-pad, c], 0 outside
//
//   y = columns w'       gw = gy' columns       gx[n,h,w,c] = sum of (gy w)[(n,p,q)][(r,s,c)] over
//   the
//                                               windows and taps that read pixel (h, w): col2im
//
// Group by group, and images in batches whose columns fit kColumnBytes. Chellapilla, Puri, Simard
// 2006, "High performance convolutional neural networks for document processing".
#include "cuda/conv2d/im2col.h"
#include "cuda/conv2d/windows.h"
#include "cuda/device/launch.h"
#include "cuda/gemm/gemm.h"
#include "cuda/gemm/prologue.h"

namespace fc::cuda {
namespace {

constexpr int64_t kColumnBytes = int64_t{256} << 20;

// x: of the group's first channel. A thread copies kVec channels of one tap of one window.
template <class T, int kVec>
__global__ void __launch_bounds__(kBlock)
    im2col_kernel(const T* x, T* columns, const __grid_constant__ Windows windows,
                  const __grid_constant__ LoadedThrough<T> through, Divider by_pieces) {
  const int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  const int depth = windows.depth();
  if (i * kVec >= int64_t{windows.count} * depth) return;
  int m, piece, n, p, q, tap, t1, t2, c;
  by_pieces.split(static_cast<int>(i), m, piece);
  windows.split(m, n, p, q);
  windows.by_channels.split(piece * kVec, tap, c);
  windows.by_taps2.split(tap, t1, t2);
  const int h = p * windows.mul1 + windows.off1 + t1 * windows.step1;
  const int w = q * windows.mul2 + windows.off2 + t2 * windows.step2;
  Vec<float, kVec> v[1] = {Vec<float, kVec>::all(0.f)};
  if (h >= 0 && h < windows.h_end && w >= 0 && w < windows.w_end) {
    const int64_t pixel = int64_t{h} * windows.w_end + w;
    v[0] = widen(load<kVec>(x + n * windows.image_pitch + pixel * windows.pixel_pitch + c));
    if (through.there()) through.apply(v[0], c);
  }
  store(columns + i * kVec, narrow<T>(v[0]));
}

// gx: of the group's first channel. A thread adds up kVec channels of one pixel, taps in their
// order.
template <class T, int kVec>
__global__ void __launch_bounds__(kBlock)
    col2im_kernel(const T* columns, T* gx, const __grid_constant__ Windows windows, int64_t images,
                  int q_end, Divider by_pieces, Divider by_width, Divider by_height,
                  Divider by_stride1, Divider by_stride2) {
  const int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x;
  const int64_t pixels = images * windows.h_end * windows.w_end;
  if (i * kVec >= pixels * windows.channels) return;
  int pixel, piece, rest, w, n, h;
  by_pieces.split(static_cast<int>(i), pixel, piece);
  by_width.split(pixel, rest, w);
  by_height.split(rest, n, h);
  const int p_end = windows.count / static_cast<int>(images) / q_end;
  Vec<float, kVec> sum = Vec<float, kVec>::all(0.f);
  for (int t1 = 0; t1 < windows.taps1; ++t1) {
    // the window whose tap t1 reads row h, if there is one
    const int at1 = h - windows.off1 - t1 * windows.step1;
    if (at1 < 0) continue;
    int p, odd;
    by_stride1.split(at1, p, odd);
    if (odd || p >= p_end) continue;
    for (int t2 = 0; t2 < windows.taps2; ++t2) {
      const int at2 = w - windows.off2 - t2 * windows.step2;
      if (at2 < 0) continue;
      int q;
      by_stride2.split(at2, q, odd);
      if (odd || q >= q_end) continue;
      const int64_t row = (int64_t{n} * p_end + p) * q_end + q;
      const int64_t column = int64_t{t1 * windows.taps2 + t2} * windows.channels + piece * kVec;
      const Vec<float, kVec> v = widen(load<kVec>(columns + row * windows.depth() + column));
#pragma unroll
      for (int j = 0; j < kVec; ++j) sum[j] += v[j];
    }
  }
  const int64_t to =
      n * windows.image_pitch + (int64_t{h} * windows.w_end + w) * windows.pixel_pitch;
  store(gx + to + piece * kVec, narrow<T>(sum));
}

// ---- the loops over groups and batches of images

struct Batches {
  int64_t images, pixels, depth;  // of a batch; output pixels of an image; columns' width

  explicit Batches(const Conv2dProblem& p) : pixels(p.p * p.q), depth(p.r * p.s * p.cg()) {
    const int64_t bytes = pixels * depth * static_cast<int64_t>(sizeof(float));
    images = bytes > 0 ? kColumnBytes / bytes : 1;
    if (images > p.n) images = p.n;
    if (images < 1) images = 1;
  }
  int64_t column_bytes() const {
    return ceil_div(images * pixels * depth * static_cast<int64_t>(sizeof(float)), 256) * 256;
  }
};

GemmSizes forward_sizes(const Conv2dProblem& p, int64_t rows) {
  return {rows, p.kg(), p.r * p.s * p.cg(), false, true, 0, 0, p.k};
}
GemmSizes column_gradient_sizes(const Conv2dProblem& p, int64_t rows) {
  return {rows, p.r * p.s * p.cg(), p.kg(), false, false, p.k, 0, 0};
}
GemmSizes weight_gradient_sizes(const Conv2dProblem& p, int64_t rows) {
  return {p.kg(), p.r * p.s * p.cg(), rows, true, false, p.k, 0, 0};
}

// the problem of some of its images
Conv2dProblem part_of(Conv2dProblem p, int64_t images) {
  p.n = images;
  return p;
}

template <class T>
void write_columns(const Conv2dProblem& p, const T* x, T* columns, const Prologue<T>& prologue,
                   int64_t group, Stream stream) {
  const Windows windows = forward_windows(p);
  const int64_t elements = int64_t{windows.count} * windows.depth();
  if (elements == 0) return;
  const auto through = LoadedThrough<T>(prologue).from(static_cast<int>(group * p.cg()));
  const auto run = [&](auto kernel, int vec) {
    launch(kernel, blocks_for(elements / vec), kBlock, 0, stream, x + group * p.cg(), columns,
           windows, through, Divider(windows.depth() / vec));
  };
  if (p.cg() % kVector<T> == 0 && vectors_fit<kVector<T>>(x, p.c)) {
    run(im2col_kernel<T, kVector<T>>, kVector<T>);
  } else {
    run(im2col_kernel<T, 1>, 1);
  }
}

template <class T>
void gather_columns(const Conv2dProblem& p, const T* columns, T* gx, int64_t group, Stream stream) {
  const Windows windows = forward_windows(p);
  const int64_t elements = p.n * p.h * p.w * p.cg();
  if (elements == 0) return;
  const auto run = [&](auto kernel, int vec) {
    launch(kernel, blocks_for(elements / vec), kBlock, 0, stream, columns, gx + group * p.cg(),
           windows, p.n, static_cast<int>(p.q), Divider(p.cg() / vec), Divider(p.w), Divider(p.h),
           Divider(p.stride_h), Divider(p.stride_w));
  };
  if (p.cg() % kVector<T> == 0 && vectors_fit<kVector<T>>(gx, p.c)) {
    run(col2im_kernel<T, kVector<T>>, kVector<T>);
  } else {
    run(col2im_kernel<T, 1>, 1);
  }
}

template <class F>
void each_batch(const Conv2dProblem& p, const F& f) {
  const Batches batches(p);
  for (int64_t first = 0; first < p.n; first += batches.images) {
    const int64_t left = p.n - first;
    const int64_t images = left < batches.images ? left : batches.images;
    for (int64_t group = 0; group < p.groups; ++group) f(first, images, group);
  }
}

}  // namespace

int64_t im2col_workspace(const Conv2dProblem& p, Direction direction) {
  const Batches batches(p);
  const int64_t rows = batches.images * batches.pixels;
  const GemmSizes sizes = direction == Direction::kFwd     ? forward_sizes(p, rows)
                          : direction == Direction::kDgrad ? column_gradient_sizes(p, rows)
                                                           : weight_gradient_sizes(p, rows);
  // the last batch is smaller, and may then be split more
  const int64_t rest = p.n % batches.images * batches.pixels;
  GemmSizes last = sizes;
  (direction == Direction::kWgrad ? last.k : last.m) = rest;
  const int64_t a = gemm_workspace(sizes, false), b = gemm_workspace(last, false);
  return batches.column_bytes() + (a > b ? a : b);
}

template <class T>
void im2col_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                const Epilogue<T>& epilogue, void* workspace, Stream stream) {
  const Batches batches(p);
  T* const columns = static_cast<T*>(workspace);  // (rows, R*S*C/groups)
  void* const scratch = static_cast<char*>(workspace) + batches.column_bytes();
  each_batch(p, [&](int64_t first, int64_t images, int64_t group) {
    const int64_t rows = images * batches.pixels, k0 = group * p.kg();
    const int64_t to = first * batches.pixels * p.k + k0;
    write_columns(part_of(p, images), x + first * p.h * p.w * p.c, columns, prologue, group,
                  stream);
    Epilogue<T> e = epilogue;
    if (e.scale) e.scale += k0;
    if (e.shift) e.shift += k0;
    if (e.residual) e.residual += to;
    gemm<T>(forward_sizes(p, rows), columns, w + k0 * batches.depth, y + to, {}, false, e, scratch,
            stream);
  });
}

template <class T>
void im2col_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                  Stream stream) {
  const Batches batches(p);
  T* const columns = static_cast<T*>(workspace);
  void* const scratch = static_cast<char*>(workspace) + batches.column_bytes();
  each_batch(p, [&](int64_t first, int64_t images, int64_t group) {
    const int64_t rows = images * batches.pixels, k0 = group * p.kg();
    gemm<T>(column_gradient_sizes(p, rows), gy + first * batches.pixels * p.k + k0,
            w + k0 * batches.depth, columns, {}, false, {}, scratch, stream);
    gather_columns(part_of(p, images), columns, gx + first * p.h * p.w * p.c, group, stream);
  });
}

template <class T>
void im2col_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw,
                  const Prologue<T>& prologue, void* workspace, Stream stream) {
  const Batches batches(p);
  T* const columns = static_cast<T*>(workspace);
  void* const scratch = static_cast<char*>(workspace) + batches.column_bytes();
  if (p.n * batches.pixels == 0) {
    fill_zero(gw, p.k * batches.depth * sizeof(T), stream);
    return;
  }
  each_batch(p, [&](int64_t first, int64_t images, int64_t group) {
    const int64_t rows = images * batches.pixels, k0 = group * p.kg();
    write_columns(part_of(p, images), x + first * p.h * p.w * p.c, columns, prologue, group,
                  stream);
    Epilogue<T> onto;  // the batches before
    if (first > 0) onto.residual = gw + k0 * batches.depth;
    gemm<T>(weight_gradient_sizes(p, rows), gy + first * batches.pixels * p.k + k0, columns,
            gw + k0 * batches.depth, {}, false, onto, scratch, stream);
  });
}

template void im2col_fwd(const Conv2dProblem&, const float*, const float*, float*,
                         const Prologue<float>&, const Epilogue<float>&, void*, Stream);
template void im2col_dgrad(const Conv2dProblem&, const float*, const float*, float*, void*, Stream);
template void im2col_wgrad(const Conv2dProblem&, const float*, const float*, float*,
                           const Prologue<float>&, void*, Stream);

}  // namespace fc::cuda
