// The sizes that the kernels which write an image read beside the tiles.
#pragma once

#include "conv2d.h"
#include "cuda/device/divide.h"

namespace fc::cuda {

// in -> out is x -> y forwards and gy -> gx backwards; window, padding and stride are the
// convolution's in both.
struct Image {
  int in_h, in_w, out_h, out_w, c;
  int r, s, pad_top, pad_left;
  int stride_h, stride_w, dilation_h, dilation_w;
  Divider by_stride_h, by_stride_w;

  Image(const Conv2dProblem& p, bool backward)
      : in_h(static_cast<int>(backward ? p.p : p.h)),
        in_w(static_cast<int>(backward ? p.q : p.w)),
        out_h(static_cast<int>(backward ? p.h : p.p)),
        out_w(static_cast<int>(backward ? p.w : p.q)),
        c(static_cast<int>(p.c)),
        r(static_cast<int>(p.r)),
        s(static_cast<int>(p.s)),
        pad_top(static_cast<int>(p.pad_top)),
        pad_left(static_cast<int>(p.pad_left)),
        stride_h(static_cast<int>(p.stride_h)),
        stride_w(static_cast<int>(p.stride_w)),
        dilation_h(static_cast<int>(p.dilation_h)),
        dilation_w(static_cast<int>(p.dilation_w)),
        by_stride_h(p.stride_h),
        by_stride_w(p.stride_w) {}
};

}  // namespace fc::cuda
