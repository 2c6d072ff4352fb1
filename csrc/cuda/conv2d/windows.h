// Where windows lie on an image, and which of their taps count: the geometry of one matrix product.
#pragma once

#include "conv2d.h"
#include "cuda/device/divide.h"

namespace fc::cuda {

struct Windows {
  int count;  // windows: N * d1 * d2
  int taps1, taps2;
  int mul1, off1, step1;  // rows of the image: window i, tap t1 at i*mul1 + off1 + t1*step1
  int mul2, off2, step2;  // columns
  int h_end, w_end;       // the image
  int channels;           // that are summed over: those of a group
  int64_t image_pitch, pixel_pitch;
  Divider by_image, by_line;  // d1 * d2, d2
  Divider by_channels, by_taps2;

  __host__ __device__ int depth() const { return taps1 * taps2 * channels; }
  FC_DEVICE void split(int m, int& n, int& i, int& j) const {
    int rest;
    by_image.split(m, n, rest);
    by_line.split(rest, i, j);
  }
};

// Of the forward pass: a window per output pixel, read from x.
inline Windows forward_windows(const Conv2dProblem& p) {
  Windows w{};
  w.count = static_cast<int>(p.n * p.p * p.q);
  w.taps1 = static_cast<int>(p.r);
  w.taps2 = static_cast<int>(p.s);
  w.mul1 = static_cast<int>(p.stride_h);
  w.mul2 = static_cast<int>(p.stride_w);
  w.off1 = static_cast<int>(-p.pad_top);
  w.off2 = static_cast<int>(-p.pad_left);
  w.step1 = static_cast<int>(p.dilation_h);
  w.step2 = static_cast<int>(p.dilation_w);
  w.h_end = static_cast<int>(p.h);
  w.w_end = static_cast<int>(p.w);
  w.channels = static_cast<int>(p.cg());
  w.image_pitch = p.h * p.w * p.c;
  w.pixel_pitch = p.c;
  w.by_image = Divider(p.p * p.q);
  w.by_line = Divider(p.q);
  w.by_channels = Divider(p.cg());
  w.by_taps2 = Divider(p.s);
  return w;
}

// One axis of the gradient by the input. Pixel h gets gy[p] * w[r] where p*stride = h + pad -
// r*dilation: the pixels of a phase, h = first + i*stride, have the same taps r = tap0 +
// t*tap_step, and window i reads gy at i + off + t*step.
struct PhaseAxis {
  int first, count;  // pixels of the phase
  int tap0, tap_step, taps;
  int off, step;
};

inline PhaseAxis phase_axis(int64_t phase, int64_t size, int64_t stride, int64_t pad,
                            int64_t dilation, int64_t window) {
  PhaseAxis a{};
  a.first = static_cast<int>(phase);
  a.count = static_cast<int>(phase < size ? (size - phase + stride - 1) / stride : 0);
  int64_t last = -1;
  for (int64_t r = 0; r < window; ++r) {
    if ((phase + pad - r * dilation) % stride != 0) continue;
    const int64_t at = (phase + pad - r * dilation) / stride;
    if (a.taps == 0) {
      a.tap0 = static_cast<int>(r);
      a.off = static_cast<int>(at);
    } else if (a.taps == 1) {
      a.tap_step = static_cast<int>(r - last);
      a.step = static_cast<int>(at - a.off);
    }
    last = r;
    ++a.taps;
  }
  return a;
}

// Of a phase of the gradient by the input: a window per pixel of x, read from gy.
inline Windows gradient_windows(const Conv2dProblem& p, const PhaseAxis& h, const PhaseAxis& w) {
  Windows v{};
  v.count = static_cast<int>(p.n * h.count * w.count);
  v.taps1 = h.taps;
  v.taps2 = w.taps;
  v.mul1 = v.mul2 = 1;
  v.off1 = h.off;
  v.off2 = w.off;
  v.step1 = h.step;
  v.step2 = w.step;
  v.h_end = static_cast<int>(p.p);
  v.w_end = static_cast<int>(p.q);
  v.channels = static_cast<int>(p.kg());
  v.image_pitch = p.p * p.q * p.k;
  v.pixel_pitch = p.k;
  v.by_image = Divider(int64_t{h.count} * w.count);
  v.by_line = Divider(w.count);
  v.by_channels = Divider(p.kg());
  v.by_taps2 = Divider(w.taps > 0 ? w.taps : 1);
  return v;
}

}  // namespace fc::cuda
