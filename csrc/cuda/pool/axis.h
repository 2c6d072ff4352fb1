// Windows along one axis of an image: which positions a window holds, and which windows hold a
// position. A window of an image is one of the rows times one of the columns.
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/device/pixels.h"
#include "pool2d.h"

namespace fc::cuda {

// On a multiprocessor. Left alone, ptxas spills a register or two to fit one more.
constexpr int kBlocksAtOnce = 4;

// The positions of one window that lie inside the input: first, first + step, ...
struct Span {
  int first, step, count;
  int number;  // of the first one, as argmax counts; the next ones follow
};

// Windows begin .. end - 1.
struct Range {
  int begin, end;
};

// kDilated: the taps lie `dilation` apart. Window i, tap t: position i*stride + t*dilation -
// before. argmax counts taps.
template <bool kDilated>
class SlidingAxis {
 public:
  static constexpr bool kGaps = kDilated;  // a window may reach over a position without holding it

  // count_padding: an average divides by the taps inside the padded input, else inside the input
  SlidingAxis(int64_t size, int64_t outputs, int64_t taps, int64_t stride, int64_t dilation,
              int64_t before, int64_t after, bool count_padding = false)
      : size_(static_cast<int>(size)),
        outputs_(static_cast<int>(outputs)),
        taps_(static_cast<int>(taps)),
        stride_(static_cast<int>(stride)),
        dilation_(static_cast<int>(dilation)),
        before_(static_cast<int>(before)),
        counted_from_(static_cast<int>(count_padding ? -before : 0)),
        counted_to_(static_cast<int>(count_padding ? size + after : size)),
        by_stride_(stride),
        by_dilation_(dilation) {}

  FC_DEVICE Span window(int i) const {
    const int start = i * stride_ - before_;
    const int skipped = taps_below(-start);
    return {start + skipped * dilation_, dilation_, taps_below(size_ - start) - skipped, skipped};
  }
  FC_DEVICE int divisor(int i) const {
    const int start = i * stride_ - before_;
    return std::max(1, taps_below(counted_to_ - start) - taps_below(counted_from_ - start));
  }

  FC_DEVICE Range holding(int position) const {
    const int at = position + before_, behind = at - (taps_ - 1) * dilation_;
    return {behind <= 0 ? 0 : by_stride_.divide(behind + stride_ - 1),
            std::min(outputs_, by_stride_.divide(at) + 1)};
  }
  // The position as argmax counts it in a window of that range, or -1 between two taps.
  FC_DEVICE int number(int window, int position) const {
    const int offset = position + before_ - window * stride_;
    if constexpr (!kDilated) return offset;
    int tap, between;
    by_dilation_.split(offset, tap, between);
    return between == 0 ? tap : -1;
  }

 private:
  // taps that lie less than `distance` behind the first one
  FC_DEVICE int taps_below(int distance) const {
    if (distance <= 0) return 0;
    return std::min(taps_, kDilated ? by_dilation_.divide(distance + dilation_ - 1) : distance);
  }

  int size_, outputs_, taps_, stride_, dilation_, before_, counted_from_, counted_to_;
  Divider by_stride_, by_dilation_;
};

// Window i holds the positions floor(i*size/outputs) .. ceil((i+1)*size/outputs) - 1. argmax counts
// positions.
class AdaptiveAxis {
 public:
  static constexpr bool kGaps = false;

  AdaptiveAxis(int64_t size, int64_t outputs)
      : size_(static_cast<int>(size)),
        outputs_(static_cast<int>(outputs)),
        by_size_(size > 0 ? size : 1),
        by_outputs_(outputs > 0 ? outputs : 1) {}

  FC_DEVICE Span window(int i) const {
    const int begin = by_outputs_.divide(i * size_);
    return {begin, 1, end_of(i) - begin, begin};
  }
  FC_DEVICE int divisor(int i) const {
    return std::max(1, end_of(i) - by_outputs_.divide(i * size_));
  }
  FC_DEVICE Range holding(int position) const {
    return {by_size_.divide(position * outputs_),
            by_size_.divide((position + 1) * outputs_ + size_ - 1)};
  }
  FC_DEVICE int number(int, int position) const { return position; }

 private:
  FC_DEVICE int end_of(int i) const { return by_outputs_.divide((i + 1) * size_ + outputs_ - 1); }

  int size_, outputs_;
  Divider by_size_, by_outputs_;
};

// The windows of an image x (H, W, C) with outputs (P, Q, C).
template <class Axis>
struct Windows {
  Axis rows, columns;
  int h, w, c, p, q;
  int most_taps;       // of a window
  int column_taps;     // of a row of it
  int numbers_of_row;  // how far argmax counts from a row to the next

  // Of the first pixel; a window without any names its last tap.
  FC_DEVICE int first_number(const Span& rows, const Span& columns) const {
    if (rows.count == 0 || columns.count == 0) return most_taps - 1;
    return rows.number * numbers_of_row + columns.number;
  }
  // (N, P, Q, C)
  FC_DEVICE int64_t output_offset(const Place& at, int channels_of_vector) const {
    return ((at.image * p + at.row) * q + at.column) * c + at.vector * channels_of_vector;
  }
};

inline Windows<AdaptiveAxis> adaptive_windows(const Pool2d& g) {
  const auto most = [](int64_t size, int64_t outputs) {
    return static_cast<int>(outputs == 0 ? 0 : size / outputs + (size % outputs == 0 ? 0 : 2));
  };
  return {AdaptiveAxis(g.h, g.p), AdaptiveAxis(g.w, g.q),          static_cast<int>(g.h),
          static_cast<int>(g.w),  static_cast<int>(g.c),           static_cast<int>(g.p),
          static_cast<int>(g.q),  most(g.h, g.p) * most(g.w, g.q), most(g.w, g.q),
          static_cast<int>(g.w)};
}

// f(windows) with the kind of axis that the geometry needs.
template <class F>
void with_sliding_windows(const Pool2d& g, bool count_padding, F f) {
  const auto with_axis = [&](auto dilated) {
    using Axis = SlidingAxis<decltype(dilated)::value>;
    const Axis rows(g.h, g.p, g.r, g.stride_h, g.dilation_h, g.pad_top, g.pad_bottom,
                    count_padding);
    const Axis columns(g.w, g.q, g.s, g.stride_w, g.dilation_w, g.pad_left, g.pad_right,
                       count_padding);
    f(Windows<Axis>{rows, columns, static_cast<int>(g.h), static_cast<int>(g.w),
                    static_cast<int>(g.c), static_cast<int>(g.p), static_cast<int>(g.q),
                    static_cast<int>(g.r * g.s), static_cast<int>(g.s), static_cast<int>(g.s)});
  };
  if (g.dilation_h == 1 && g.dilation_w == 1) {
    with_axis(std::false_type());
  } else {
    with_axis(std::true_type());
  }
}

}  // namespace fc::cuda
