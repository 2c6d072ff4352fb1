// The pixels that windows read, as an operand of the matrix product: the image itself, no columns.
//
//   a[m][(t1, t2, c)] = x[n, i*mul1 + off1 + t1*step1, j*mul2 + off2 + t2*step2, c],  m = (n, i, j)
//
// Forward: x, windows at stride steps. Gradient by the input, one phase of the stride: gy, windows
// that go one pixel on, taps backwards. 0 outside the image.
#pragma once

#include "cuda/conv2d/windows.h"
#include "cuda/gemm/prologue.h"
#include "cuda/gemm/tile.h"

namespace fc::cuda {

// kPrologue: whether elements are treated on the way.
template <class T, int kWidth, bool kPrologue>
struct WindowLoader {
  static constexpr Major kMajor = Major::kK;
  static constexpr int kVec = kWidth;
  static constexpr bool kFinishes = kPrologue;

  const T* base;             // of the group's first channel
  const Windows& windows;    // in the kernel's arguments: it would take too many registers
  LoadedThrough<T> through;  // of the group's first channel

  struct Row {
    int n, h, w;  // of tap (0, 0)
  };
  struct Column {
    int h, w, c;
    bool valid;
  };

  FC_DEVICE Row row(int m) const {
    // a row that is not there looks like one far outside the image
    if (m >= windows.count) return {0, kOutside, kOutside};
    int n, i, j;
    windows.split(m, n, i, j);
    return {n, i * windows.mul1 + windows.off1, j * windows.mul2 + windows.off2};
  }
  FC_DEVICE Column column(int k) const {
    int tap, t1, t2, c;
    windows.by_channels.split(k, tap, c);
    windows.by_taps2.split(tap, t1, t2);
    return {t1 * windows.step1, t2 * windows.step2, c, t1 < windows.taps1};
  }
  FC_DEVICE bool inside(const Row& r, const Column& c) const {
    return c.valid && static_cast<unsigned>(r.h + c.h) < static_cast<unsigned>(windows.h_end) &&
           static_cast<unsigned>(r.w + c.w) < static_cast<unsigned>(windows.w_end);
  }
  FC_DEVICE void copy(T* to, const Row& r, const Column& c) const {
    const bool valid = inside(r, c);
    const T* const image = base + r.n * windows.image_pitch;
    const int64_t pixel = int64_t{r.h + c.h} * windows.w_end + (r.w + c.w);
    copy_async<kVec>(to, valid ? image + pixel * windows.pixel_pitch + c.c : base, valid);
  }
  FC_DEVICE bool finishes() const { return through.there(); }
  FC_DEVICE void finish(T* at, const Row& r, const Column& c) const {
    if (inside(r, c)) through.template apply_at<kVec>(at, c.c);
  }

 private:
  static constexpr int kOutside = -(1 << 30);
};

}  // namespace fc::cuda
