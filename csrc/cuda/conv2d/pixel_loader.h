// The image as the gradient by the weights multiplies it: the sum runs over output pixels.
//
//   b[(n, p, q)][(r, s, c)] = x[n, p*stride + r*dilation - pad, q*stride + s*dilation - pad, c]
#pragma once

#include "cuda/conv2d/windows.h"
#include "cuda/gemm/prologue.h"
#include "cuda/gemm/tile.h"

namespace fc::cuda {

template <class T, int kWidth>
struct PixelLoader {
  static constexpr Major kMajor = Major::kMN;
  static constexpr int kVec = kWidth;
  static constexpr bool kFinishes = true;

  const T* base;           // of the group's first channel
  const Windows& windows;  // of the forward pass, in the kernel's arguments
  LoadedThrough<T> through;

  struct Row {
    int h, w, c;  // what the tap adds
    bool valid;
  };
  struct Column {
    const T* image;
    int h, w;  // of tap (0, 0)
    bool valid;
  };

  FC_DEVICE Row row(int i) const {
    int tap, t1, t2, c;
    windows.by_channels.split(i, tap, c);
    windows.by_taps2.split(tap, t1, t2);
    return {t1 * windows.step1, t2 * windows.step2, c, t1 < windows.taps1};
  }
  FC_DEVICE Column column(int m) const {
    int n, i, j;
    windows.split(m, n, i, j);
    return {base + n * windows.image_pitch, i * windows.mul1 + windows.off1,
            j * windows.mul2 + windows.off2, m < windows.count};
  }
  FC_DEVICE bool inside(const Row& r, const Column& c) const {
    return r.valid && c.valid &&
           static_cast<unsigned>(r.h + c.h) < static_cast<unsigned>(windows.h_end) &&
           static_cast<unsigned>(r.w + c.w) < static_cast<unsigned>(windows.w_end);
  }
  FC_DEVICE void copy(T* to, const Row& r, const Column& c) const {
    const bool valid = inside(r, c);
    const int64_t pixel = int64_t{r.h + c.h} * windows.w_end + (r.w + c.w);
    copy_async<kVec>(to, valid ? c.image + pixel * windows.pixel_pitch + r.c : base, valid);
  }
  FC_DEVICE bool finishes() const { return through.there(); }
  FC_DEVICE void finish(T* at, const Row& r, const Column& c) const {
    if (inside(r, c)) through.template apply_at<kVec>(at, r.c);
  }
};

}  // namespace fc::cuda
