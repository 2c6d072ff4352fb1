// Resizing along one axis: output i lies at source(i) of the input,
//
//   nearest    floor(i*in/out)                 half-pixel  max(0, (i + 1/2)*in/out - 1/2)
//   corners    i*(in-1)/(out-1), 0 if out = 1
//
// as the exact fraction max(0, i*scale + offset) / denominator: its quotient is a pixel, its
// remainder the weight of the next one.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "cuda/device/divide.h"
#include "cuda/resize/resize.h"

namespace fc::cuda {

class ResizeAxis {
 public:
  // Two neighbouring pixels, the same one at the end, and the weight of the second.
  struct Source {
    int first, second;
    float weight;
  };
  // Outputs begin .. end - 1.
  struct Range {
    int begin, end;
  };

  ResizeAxis(int64_t in, int64_t out, ResizeMode mode)
      : in_(static_cast<int>(in)), out_(static_cast<int>(out)) {
    const Fraction f(in, out, mode);
    scale_ = static_cast<int>(f.scale);
    offset_ = static_cast<int>(f.offset);
    denominator_ = static_cast<int>(f.denominator);
    nearest_ = mode == ResizeMode::kNearest;
    by_denominator_ = Divider(f.denominator);
    by_scale_ = Divider(std::max<int64_t>(1, f.scale));
  }

  static bool fits(int64_t in, int64_t out, ResizeMode mode) {
    const Fraction f(in, out, mode);
    const int64_t most = std::max(out * f.scale, (in + 1) * f.denominator + f.scale);
    return most + std::abs(f.offset) < int64_t{1} << 31;
  }

  FC_DEVICE Source source(int i) const {
    int first, rest;
    by_denominator_.split(std::max(0, i * scale_ + offset_), first, rest);
    return {first, std::min(first + 1, in_ - 1),
            static_cast<float>(rest) / static_cast<float>(denominator_)};
  }

  // The outputs that read a pixel; some at the ends may have it with weight 0.
  FC_DEVICE Range readers(int pixel) const {
    if (scale_ == 0) return {0, out_};
    return {first_from(nearest_ ? pixel : pixel - 1), first_from(pixel + 1)};
  }
  // The weight of a pixel in one of those.
  FC_DEVICE float weight_of(int pixel, int output) const {
    if (nearest_) return 1;
    const Source s = source(output);
    return (s.first == pixel ? 1 - s.weight : 0) + (s.second == pixel ? s.weight : 0);
  }

 private:
  // In lowest terms, so that whole factors never outgrow an int.
  struct Fraction {
    int64_t scale, offset, denominator;

    Fraction(int64_t in, int64_t out, ResizeMode mode) {
      if (mode == ResizeMode::kCorners) {
        in = out > 1 ? in - 1 : 0;
        out -= 1;
      }
      const int64_t common = std::max<int64_t>(1, std::gcd(in, out));
      in /= common;
      out = std::max<int64_t>(1, out / common);
      const bool half = mode == ResizeMode::kHalfPixel;
      scale = half ? 2 * in : in;
      offset = half ? in - out : 0;
      denominator = half ? 2 * out : out;
    }
  };

  // The first output whose first pixel is `pixel` or a later one.
  FC_DEVICE int first_from(int pixel) const {
    const int distance = pixel * denominator_ - offset_;
    if (pixel <= 0 || distance <= 0) return 0;
    return std::min(out_, by_scale_.divide(distance + scale_ - 1));
  }

  int in_, out_, scale_, offset_, denominator_;
  bool nearest_;
  Divider by_denominator_, by_scale_;
};

}  // namespace fc::cuda
